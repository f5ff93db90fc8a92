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
from ipv2_bench.physics.poisson import poisson_counts
from ipv2_bench.physics.projector import ParallelBeam
from ipv2_bench.processes import in_threads

COUNT_FLOOR = 0.5
"""Counts below this are set to it before the logarithm: half a photon, the usual guard against starved rays."""


@lru_cache(maxsize=8)
def parallel_beam(size: int, views: int, precise: bool = False) -> ParallelBeam:
    """The projector of this size, built once; ``precise``: in float64."""
    return ParallelBeam(size, views, precise=precise)


def line_integrals(hu: Tensor, pixel_mm: Tensor, acquisition: Acquisition) -> Tensor:
    """Line integrals ∫μ dl of the attenuation of each slice.

    Parameters
    ----------
    hu
        Slices in HU, [B, N, N].
    pixel_mm
        Side of a pixel in mm, [B]; best on the CPU, where it is read, even for slices on an accelerator.
    acquisition
        The scan; its views and its attenuation of water are used.

    Returns
    -------
    Tensor
        [B, views, detectors], dimensionless, of the type of ``hu``: float32, or float64 to 1e-12.

    Raises
    ------
    ValueError
        When a slice is not square or, where it can be seen without waiting for an accelerator, not finite, or a pixel has no
        size.
    """
    if hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
        raise ValueError(f"got slices of shape {tuple(hu.shape)}: expected square ones, [batch, N, N]")
    if hu.device.type == "cpu" and not bool(torch.isfinite(hu).all()):
        raise ValueError("a slice holds NaN or infinity: repair or remove it before it is scanned")
    if pixel_mm.device.type == "cpu" and not bool((torch.isfinite(pixel_mm) & (pixel_mm > 0)).all()):
        raise ValueError(f"pixel_mm is {pixel_mm.tolist()}: expected the side of a pixel in mm, above 0")
    beam = parallel_beam(hu.shape[-1], acquisition.views, hu.dtype == torch.float64)
    return beam.project(attenuation(hu, acquisition.mu_water) * pixel_mm.to(hu, non_blocking=True)[:, None, None])


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
        Side of a pixel in mm, [B]; best on the CPU, where it is read, even for slices on an accelerator.
    acquisition
        The scan.
    generators
        One per slice, on the slices' device, so that a slice's noise does not depend on its batch.
    integrals
        :func:`line_integrals` of the slices where they are known, [B, views, detectors]; they are the same for every draw.

    Returns
    -------
    Tensor
        Noise in HU, [B, N, N], of the type of ``hu``, to be added to it.

    Raises
    ------
    ValueError
        For slices that :func:`line_integrals` refuses, and when the number of generators is not that of the slices.
    """
    if integrals is None:
        integrals = line_integrals(hu, pixel_mm, acquisition)
    if len(generators) != len(hu):
        raise ValueError(f"{len(generators)} generators for {len(hu)} slices: expected one for each")
    beam = parallel_beam(hu.shape[-1], acquisition.views, hu.dtype == torch.float64)
    mm = pixel_mm.to(integrals, non_blocking=True)[:, None, None]
    errors = sinogram_noise(integrals, mm, acquisition, generators)
    # The window's end as a share of the detector's limit, which is half a cycle per pixel.
    ends = [2.0 * acquisition.cutoff * float(side) if acquisition.cutoff else 1.0 for side in pixel_mm]
    return beam.backproject(errors, acquisition.filter_name, ends) / (mm * acquisition.mu_water) * 1000.0


def incident_photons(acquisition: Acquisition, detector_px: Tensor, pixel_mm: Tensor) -> Tensor:
    """Photons that fall on the cells at ``detector_px``, pixels from the axis, with nothing in the beam."""
    fall_off = torch.exp(-acquisition.bowtie * (detector_px * pixel_mm / 200.0) ** 2)
    return acquisition.photons * pixel_mm * acquisition.dose * fall_off


def sinogram_noise(
    integrals: Tensor, pixel_mm: Tensor, acquisition: Acquisition, generators: Sequence[torch.Generator]
) -> Tensor:
    """Error of the measured line integrals, [B, views, detectors]; ``pixel_mm`` is [B, 1, 1]."""
    cells = integrals.shape[-1]
    at = torch.arange(cells, dtype=integrals.dtype, device=integrals.device) - (cells - 1) / 2
    incident = incident_photons(acquisition, at, pixel_mm)
    expected = incident * torch.exp(-integrals)
    draws = list(zip(expected, generators, strict=True))
    for_each = in_threads if integrals.device.type == "cpu" else lambda function, items: [function(x) for x in items]
    counts = torch.stack(for_each(lambda draw: _draw_counts(draw[0], acquisition, draw[1]), draws))
    return torch.log(incident) - torch.log(counts.clamp_min(COUNT_FLOOR)) - integrals


def _draw_counts(expected: Tensor, acquisition: Acquisition, generator: torch.Generator) -> Tensor:
    def normal() -> Tensor:
        return torch.randn(expected.shape, generator=generator, device=expected.device, dtype=expected.dtype)

    poisson = acquisition.quantum == "poisson"
    counts = poisson_counts(expected, generator) if poisson else expected + expected.sqrt() * normal()
    electronic, dose = acquisition.electronic, acquisition.dose
    if acquisition.inserted:
        counts = expected + (counts - expected) * (1.0 - dose) ** 0.5
        electronic *= (1.0 - dose**2) ** 0.5
    return counts + electronic * normal() if electronic > 0 else counts
