"""Texture of the noise that is left in the lung: mean frequency of its power spectrum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure

TREND_PX = 6.0
"""Standard deviation in pixels of the Gaussian that gives the local mean."""

LOWEST, HIGHEST = 1.0 / 16.0, 0.5
"""Frequencies per pixel between which the spectrum counts as noise: slower errors are bias and misplaced structure."""

TAPER_PX = 3.0
"""Distance in pixels from the edge of the lung over which the error fades in: a hard edge would leak slow noise into all
frequencies."""


class NoiseTexture(TruthMeasure):
    """Mean frequency of the error's power spectrum in the lung, averaged over slices, minus that of the uLDCT."""

    version = 2
    order = 60
    columns = (
        Column(
            "nps_mean_shift_per_mm", "NPS mean shift 1/mm", "1/mm", "detail", 0.0, ("truth",),
            explanation="Mean frequency of the power spectrum (NPS) of the noise in the lung, slow errors left out, minus that "
            "of the uLDCT; below 0 when the noise left is coarser.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Integral and first moment of the spectra of image and uLDCT; see :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        statistics: Statistics = {}
        for name, image in (("nps", hu), ("nps_low", truth.low_hu)):
            error = image.astype(np.float64) - truth.hu
            statistics[name], statistics[f"{name}_moment"] = spectral_moments(error, truth.anatomy.regions["lung"])
        return statistics

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        mean, low_mean = (
            mean_frequency(float(statistics[name]), float(statistics[f"{name}_moment"])) for name in ("nps", "nps_low")
        )
        return {"nps_mean_shift_per_mm": (mean - low_mean) / pixel_mm}


def spectral_moments(error: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Integral over frequency of the power spectrum of ``error`` in a region, and its first moment.

    The spectrum is that of all directions, from :data:`LOWEST` to :data:`HIGHEST` per pixel: white noise of variance σ² has σ²
    at every frequency. The local mean (a Gaussian of 6 pixels inside of the region) is subtracted first, since bias and
    misplaced structure would leak over the region's edge into every frequency; what this removes of slow noise is compensated.

    Parameters
    ----------
    error
        [N, N] in HU.
    mask
        The region, boolean [N, N].

    Returns
    -------
    tuple of float
        ∫ NPS df in HU²/pixel, and ∫ f NPS df in HU²/pixel²; NaN for a region that is too small.
    """
    from scipy import ndimage

    from ipv2_bench.metrics.anatomy import LEAST_PIXELS

    if mask.sum() < LEAST_PIXELS:
        return float("nan"), float("nan")
    near = ndimage.gaussian_filter(mask.astype(np.float64), TREND_PX)
    local = ndimage.gaussian_filter(np.where(mask, error, 0.0), TREND_PX) / np.maximum(near, 1e-6)
    weight = np.clip(ndimage.distance_transform_edt(mask) / TAPER_PX, 0.0, 1.0)
    n = len(error)
    power = np.abs(np.fft.rfft2(weight * (error - local))) ** 2 / (weight**2).sum()
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None])
    use = (frequency >= LOWEST) & (frequency < HIGHEST)
    # All columns of a real transform but the first and the last count twice.
    columns = np.arange(power.shape[1])
    twice = np.broadcast_to(np.where((columns > 0) & (columns < n / 2), 2.0, 1.0), power.shape)[use]
    power, frequency = power[use], frequency[use]
    kept = (1.0 - np.exp(-2.0 * (np.pi * TREND_PX * frequency) ** 2)) ** 2
    # Frequencies of magnitude f form a ring of circumference 2πf.
    density = twice * power / kept / (2.0 * np.pi * frequency * n**2)
    return float(density.sum()), float((density * frequency).sum())


def mean_frequency(integral: float, moment: float) -> float:
    """Mean frequency per pixel of a spectrum with these moments; NaN where there is no noise."""
    return moment / integral if np.isfinite(integral) and integral > 0 else float("nan")
