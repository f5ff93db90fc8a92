"""From dose to noise: photon counts in the sinogram, their logarithm, and the noise that it causes in the slice.

Only the noise is reconstructed: by linearity, FBP of the noisy sinogram of a clean slice is the slice plus
FBP of the noise, so projection and reconstruction never blur the anatomy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import attenuation
from ipv2_bench.physics.projector import ParallelBeam
from ipv2_bench.processes import in_threads

COUNT_FLOOR = 0.5
"""Counts below this are set to it before the logarithm: half a photon, the usual guard against starved rays."""


@lru_cache(maxsize=8)
def parallel_beam(size: int, views: int) -> ParallelBeam:
    """The projector of this size, built once."""
    return ParallelBeam(size, views)


def line_integrals(hu: Tensor, pixel_mm: Tensor, acquisition: Acquisition) -> Tensor:
    """Line integrals ∫μ dl of the attenuation of each slice.

    Parameters
    ----------
    hu
        Slices in HU, [B, N, N].
    pixel_mm
        Side of a pixel in mm, [B].
    acquisition
        The scan; its views and its attenuation of water are used.

    Returns
    -------
    Tensor
        [B, views, detectors], dimensionless, float32.

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
    """Noise of one acquisition in each slice.

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
        :func:`line_integrals` of the slices where they are known, [B, views, detectors]; they are the same for every draw.

    Returns
    -------
    Tensor
        Noise in HU, [B, N, N], float32, to be added to ``hu``.

    Raises
    ------
    ValueError
        For slices that :func:`line_integrals` refuses, and when the number of generators is not that of the slices.
    """
    if integrals is None:
        integrals = line_integrals(hu, pixel_mm, acquisition)
    if len(generators) != len(hu):
        raise ValueError(f"{len(generators)} generators for {len(hu)} slices: expected one for each")
    beam = parallel_beam(hu.shape[-1], acquisition.views)
    mm = pixel_mm.to(integrals)[:, None, None]
    errors = sinogram_noise(integrals, mm, acquisition, generators)
    return beam.backproject(errors, acquisition.filter_name) / (mm * acquisition.mu_water) * 1000.0


def incident_photons(acquisition: Acquisition, detector_px: Tensor, pixel_mm: Tensor) -> Tensor:
    """Photons that fall on the cells at ``detector_px``, pixels from the axis, with nothing in the beam."""
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
    draws = list(zip(expected, generators, strict=True))
    for_each = in_threads if integrals.device.type == "cpu" else lambda function, items: [function(x) for x in items]
    counts = torch.stack(for_each(lambda draw: _draw_counts(draw[0], acquisition, draw[1]), draws))
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
"""Factor of the published script from line integrals of [0, 1] slices in pixels to attenuation."""


def published_counts(path: Tensor, generator: torch.Generator) -> Tensor:
    """Photon counts of the published script for scaled path lengths, any shape: Poisson, plus a normal with σ = 0.05·√flux."""
    flux = PUBLISHED_FLUX * torch.exp(-path)
    noise = torch.randn(path.shape, generator=generator, device=path.device, dtype=path.dtype)
    return torch.poisson(flux, generator=generator) + 0.05 * flux.sqrt() * noise


def published_low_dose(unit: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Slices with the dose model of the published script, for parity with it: [B, N, N] in [0, 1] → the same in 8-bit steps.

    Each slice is stretched to its own minimum and maximum before and after, so HU are lost; path lengths are scaled
    by 1/500, the Gaussian part has σ = 0.05·√flux, starved rays become 0, N angles over 180°, FBP with the Hann filter.
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
