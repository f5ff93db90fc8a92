"""Dose to noise: photon counts in the sinogram, their logarithm, and what it leaves in the slice.

Only the noise passes the reconstruction: by linearity, FBP of the noisy sinogram of a clean slice is the slice plus
FBP of the noise, so the anatomy is never blurred by a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ipv2_bench.physics.intensity import MU_WATER_PER_MM, attenuation
from ipv2_bench.physics.projector import FILTERS, ParallelBeam

COUNT_FLOOR = 0.5
"""Counts below this are set to it before the logarithm: half a photon, the usual guard against starved rays."""


@dataclass(frozen=True)
class Acquisition:
    """How a slice is scanned and reconstructed.

    Attributes
    ----------
    photons
        Photons that fall on a detector cell in one view with nothing in the beam (I0), at the axis.
    electronic
        Standard deviation of the electronic noise, in photons.
    bowtie
        Fall-off of I0 towards the edge of a 400 mm field of view: ``I0(s) = photons·exp(−bowtie·(s/200 mm)²)``.
    views
        Angles over 180°.
    filter_name
        FBP filter, one of :data:`ipv2_bench.physics.projector.FILTERS`.
    kilovolt
        Tube voltage, a key of :data:`ipv2_bench.physics.intensity.MU_WATER_PER_MM`.
    """

    photons: float
    electronic: float = 0.0
    bowtie: float = 0.0
    views: int = 180
    filter_name: str = "ram-lak"
    kilovolt: int = 120

    def __post_init__(self) -> None:
        if not self.photons > 0:
            raise ValueError(f"photons is {self.photons}: expected a positive number")
        if self.views < 1:
            raise ValueError(f"views is {self.views}: expected at least 1")
        if self.electronic < 0 or self.bowtie < 0:
            raise ValueError(f"electronic={self.electronic}, bowtie={self.bowtie}: expected numbers ≥ 0")
        if self.filter_name not in FILTERS:
            raise ValueError(f"filter_name '{self.filter_name}' is unknown: use one of {', '.join(FILTERS)}")
        if self.kilovolt not in MU_WATER_PER_MM:
            known = ", ".join(map(str, MU_WATER_PER_MM))
            raise ValueError(f"kilovolt {self.kilovolt} has no water value: use one of {known}")

    @property
    def mu_water(self) -> float:
        """Attenuation of water in 1/mm."""
        return MU_WATER_PER_MM[self.kilovolt]


@lru_cache(maxsize=8)
def parallel_beam(size: int, views: int) -> ParallelBeam:
    """The projector of this size, made once."""
    return ParallelBeam(size, views)


def scan_noise(hu: Tensor, pixel_mm: Tensor, acquisition: Acquisition, generators: Sequence[torch.Generator]) -> Tensor:
    """Noise that one acquisition leaves in each slice.

    Parameters
    ----------
    hu
        Clean slices in HU, [B, N, N].
    pixel_mm
        Side of a pixel in mm, [B].
    acquisition
        The scan.
    generators
        One per slice, so that a slice's noise does not depend on its batch.

    Returns
    -------
    Tensor
        Noise in HU, [B, N, N], float32, to be added to ``hu``.

    Raises
    ------
    ValueError
        When a slice is not finite or not square, or the number of generators is wrong.
    """
    if hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
        raise ValueError(f"got slices of shape {tuple(hu.shape)}: expected square ones, [batch, N, N]")
    if not bool(torch.isfinite(hu).all()):
        raise ValueError("a slice holds NaN or infinity: repair or remove it before it is scanned")
    if len(generators) != len(hu):
        raise ValueError(f"{len(generators)} generators for {len(hu)} slices: expected one for each")
    beam = parallel_beam(hu.shape[-1], acquisition.views)
    mm = pixel_mm.to(hu)[:, None, None]
    clean = beam.project(attenuation(hu, acquisition.mu_water) * mm)
    s_mm = torch.as_tensor(beam.detector_px, dtype=torch.float32, device=hu.device) * mm
    incident = acquisition.photons * torch.exp(-acquisition.bowtie * (s_mm / 200.0) ** 2)
    expected = incident * torch.exp(-clean)
    counts = torch.stack(
        [_draw_counts(e, acquisition.electronic, g) for e, g in zip(expected, generators, strict=True)]
    )
    noisy = torch.log(incident) - torch.log(counts.clamp_min(COUNT_FLOOR))
    image = beam.backproject(noisy - clean, acquisition.filter_name)
    return image / (mm * acquisition.mu_water) * 1000.0


def _draw_counts(expected: Tensor, electronic: float, generator: torch.Generator) -> Tensor:
    counts = torch.poisson(expected, generator=generator)
    if electronic > 0:
        counts = counts + electronic * torch.randn(
            expected.shape, generator=generator, device=expected.device, dtype=expected.dtype
        )
    return counts


PUBLISHED_FLUX = 200.0 * 1000.0 * (0.015 * 2.5 + 0.1002)
"""Incident flux of the published script at 2.5 mAs: 200 mAs, 1000 photons per mAs, k = 0.015·mAs + 0.1002."""
PUBLISHED_PATH_SCALE = 1.0 / 500.0


def published_low_dose(unit: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """The dose model of the published script, kept for parity: slices [B, N, N] in [0, 1] → the same, 8-bit steps.

    Each slice is stretched to its own minimum and maximum before and after, so HU are lost; path lengths are scaled
    by 1/500, the Gaussian part has σ = 0.05·√flux, starved rays become 0, N angles over 180°, FBP with Hann.
    """
    low = unit.amin((1, 2), keepdim=True)
    span = (unit.amax((1, 2), keepdim=True) - low).clamp_min(1e-12)
    beam = parallel_beam(unit.shape[-1], unit.shape[-1])
    path = beam.project((unit - low) / span) * PUBLISHED_PATH_SCALE
    expected = PUBLISHED_FLUX * torch.exp(-path)
    counts = torch.stack(
        [
            torch.poisson(e, generator=g) + 0.05 * e.sqrt() * torch.randn(e.shape, generator=g, device=e.device)
            for e, g in zip(expected, generators, strict=True)
        ]
    )
    noisy = torch.where(counts > 0, -torch.log(counts.clamp_min(1e-6) / PUBLISHED_FLUX), torch.zeros_like(counts))
    image = beam.backproject(noisy / PUBLISHED_PATH_SCALE, "hann")
    low = image.amin((1, 2), keepdim=True)
    span = (image.amax((1, 2), keepdim=True) - low).clamp_min(1e-12)
    return torch.floor((image - low) / span * 255.0) / 255.0
