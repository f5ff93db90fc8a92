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
from ipv2_bench.processes import in_threads

COUNT_FLOOR = 0.5
"""Counts below this are set to it before the logarithm: half a photon, the usual guard against starved rays."""


@dataclass(frozen=True)
class Acquisition:
    """How a slice is scanned and reconstructed.

    Attributes
    ----------
    photons
        Photons that fall on a detector cell in one view with nothing in the beam (I0), at the axis, at full dose.
    electronic
        Standard deviation of the electronic noise, in photons; it does not fall with the dose.
    bowtie
        Fall-off of I0 towards the edge of a 400 mm field of view: ``I0(s) = photons·exp(−bowtie·(s/200 mm)²)``.
    views
        Angles over 180°.
    filter_name
        FBP filter, one of :data:`ipv2_bench.physics.projector.FILTERS`.
    kilovolt
        Tube voltage, a key of :data:`ipv2_bench.physics.intensity.MU_WATER_PER_MM`.
    dose
        Fraction d of the full dose, in (0, 1]: I0 becomes d·photons.
    inserted
        The slice is itself a full-dose scan, so only what the dose d adds to its variance is drawn. Scaled to dose d, its
        counts have the variance d²λ + d²σ² and shall have dλ + σ², so the quantum noise is shrunk by √(1−d) and the
        electronic one by √(1−d²) (noise insertion as by Žabić et al., Med. Phys. 40, 2013); at d = 1 nothing is added.
        ``False`` for slices that are free of noise.
    quantum
        ``poisson``, or ``gaussian``, its limit at high counts.
    """

    photons: float
    electronic: float = 0.0
    bowtie: float = 0.0
    views: int = 180
    filter_name: str = "ram-lak"
    kilovolt: int = 120
    dose: float = 1.0
    inserted: bool = False
    quantum: str = "poisson"

    def __post_init__(self) -> None:
        if not 0 < self.dose <= 1:
            raise ValueError(f"dose is {self.dose}: expected a fraction of the full dose, above 0 and at most 1")
        if self.quantum not in ("poisson", "gaussian"):
            raise ValueError(f"quantum '{self.quantum}' is unknown: use poisson or gaussian")
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


def line_integrals(hu: Tensor, pixel_mm: Tensor, acquisition: Acquisition) -> Tensor:
    """What the rays lose in each slice: HU [B, N, N], pixels of pixel_mm [B] mm → ∫μ dl, [B, views, detectors], float32.

    Raises
    ------
    ValueError
        When a slice is not finite or not square, or a pixel has no size.
    """
    if hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
        raise ValueError(f"got slices of shape {tuple(hu.shape)}: expected square ones, [batch, N, N]")
    if not bool(torch.isfinite(hu).all()):
        raise ValueError("a slice holds NaN or infinity: repair or remove it before it is scanned")
    if not bool((torch.isfinite(pixel_mm) & (pixel_mm > 0)).all()):
        raise ValueError(f"pixel_mm is {pixel_mm.tolist()}: expected the side of a pixel in mm, above 0")
    beam = parallel_beam(hu.shape[-1], acquisition.views)
    return beam.project(attenuation(hu, acquisition.mu_water) * pixel_mm.to(hu)[:, None, None])


def scan_noise(
    hu: Tensor,
    pixel_mm: Tensor,
    acquisition: Acquisition,
    generators: Sequence[torch.Generator],
    integrals: Tensor | None = None,
) -> Tensor:
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
        One per slice, on the slices' device, so that a slice's noise does not depend on its batch.
    integrals
        :func:`line_integrals` of the slices where they are known; they do not change from draw to draw.

    Returns
    -------
    Tensor
        Noise in HU, [B, N, N], float32, to be added to ``hu``.

    Raises
    ------
    ValueError
        As :func:`line_integrals`, and when the number of generators is wrong.
    """
    if integrals is None:
        integrals = line_integrals(hu, pixel_mm, acquisition)
    if len(generators) != len(hu):
        raise ValueError(f"{len(generators)} generators for {len(hu)} slices: expected one for each")
    beam = parallel_beam(hu.shape[-1], acquisition.views)
    mm = pixel_mm.to(integrals)[:, None, None]
    excess = sinogram_noise(integrals, mm, acquisition, generators)
    return beam.backproject(excess, acquisition.filter_name) / (mm * acquisition.mu_water) * 1000.0


def incident_photons(acquisition: Acquisition, detector_px: Tensor, pixel_mm: Tensor) -> Tensor:
    """Photons that fall on the cells at ``detector_px`` with nothing in the beam."""
    fall_off = torch.exp(-acquisition.bowtie * (detector_px * pixel_mm / 200.0) ** 2)
    return acquisition.photons * acquisition.dose * fall_off


def sinogram_noise(
    integrals: Tensor, pixel_mm: Tensor, acquisition: Acquisition, generators: Sequence[torch.Generator]
) -> Tensor:
    """Error of the measured line integrals, [B, views, detectors]; ``pixel_mm`` is [B, 1, 1]."""
    cells = integrals.shape[-1]
    at = torch.arange(cells, dtype=torch.float32, device=integrals.device) - (cells - 1) / 2
    incident = incident_photons(acquisition, at, pixel_mm)
    expected = incident * torch.exp(-integrals)
    each = list(zip(expected, generators, strict=True))
    draws = in_threads if integrals.device.type == "cpu" else lambda function, items: [function(x) for x in items]
    counts = torch.stack(draws(lambda pair: _draw_counts(pair[0], acquisition, pair[1]), each))
    return torch.log(incident) - torch.log(counts.clamp_min(COUNT_FLOOR)) - integrals


def _draw_counts(expected: Tensor, acquisition: Acquisition, generator: torch.Generator) -> Tensor:
    def normal() -> Tensor:
        return torch.randn(expected.shape, generator=generator, device=expected.device, dtype=expected.dtype)

    if acquisition.quantum == "poisson":
        counts = torch.poisson(expected, generator=generator)
    else:
        counts = expected + expected.sqrt() * normal()
    electronic, dose = acquisition.electronic, acquisition.dose
    if acquisition.inserted:
        counts = expected + (counts - expected) * (1.0 - dose) ** 0.5
        electronic *= (1.0 - dose**2) ** 0.5
    return counts + electronic * normal() if electronic > 0 else counts


PUBLISHED_FLUX = 200.0 * 1000.0 * (0.015 * 2.5 + 0.1002)
"""Incident flux of the published script at 2.5 mAs: 200 mAs, 1000 photons per mAs, k = 0.015·mAs + 0.1002."""
PUBLISHED_PATH_SCALE = 1.0 / 500.0


def published_counts(path: Tensor, generator: torch.Generator) -> Tensor:
    """The published script's counts for scaled path lengths, any shape: Poisson of the flux, plus 0.05·√flux of a normal."""
    flux = PUBLISHED_FLUX * torch.exp(-path)
    noise = torch.randn(path.shape, generator=generator, device=path.device, dtype=path.dtype)
    return torch.poisson(flux, generator=generator) + 0.05 * flux.sqrt() * noise


def published_low_dose(unit: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """The dose model of the published script, kept for parity: slices [B, N, N] in [0, 1] → the same, 8-bit steps.

    Each slice is stretched to its own minimum and maximum before and after, so HU are lost; path lengths are scaled
    by 1/500, the Gaussian part has σ = 0.05·√flux, starved rays become 0, N angles over 180°, FBP with Hann.
    """
    low = unit.amin((1, 2), keepdim=True)
    span = (unit.amax((1, 2), keepdim=True) - low).clamp_min(1e-12)
    beam = parallel_beam(unit.shape[-1], unit.shape[-1])
    path = beam.project((unit - low) / span) * PUBLISHED_PATH_SCALE
    counts = torch.stack([published_counts(p, g) for p, g in zip(path, generators, strict=True)])
    noisy = torch.where(counts > 0, -torch.log(counts.clamp_min(1e-6) / PUBLISHED_FLUX), torch.zeros_like(counts))
    image = beam.backproject(noisy / PUBLISHED_PATH_SCALE, "hann")
    low = image.amin((1, 2), keepdim=True)
    span = (image.amax((1, 2), keepdim=True) - low).clamp_min(1e-12)
    return torch.floor((image - low) / span * 255.0) / 255.0
