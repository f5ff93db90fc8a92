"""Texture of the noise that is left in the lung: peak and mean frequency of its power spectrum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure

NPS_BINS = 24
"""Bins of frequency from 0 to 0.5 per pixel."""

TREND_PX = 6.0
"""Standard deviation in pixels of the Gaussian that gives the local mean."""

LOWEST_BIN = 3
"""First bin that counts as noise, from 1/16 per pixel on: slower errors are bias and misplaced structure."""


class NoiseTexture(TruthMeasure):
    """Frequencies of the error's power spectrum in the lung, averaged over slices, minus those of the uLDCT."""

    version = 1
    order = 60
    columns = (
        Column(
            "nps_peak_shift_per_mm", "NPS peak shift 1/mm", "1/mm", "detail", 0.0, ("truth",),
            explanation="Peak frequency of the noise minus that of the uLDCT; below 0 when the noise left is coarser.",
        ),
        Column(
            "nps_mean_shift_per_mm", "NPS mean shift 1/mm", "1/mm", "detail", 0.0, ("truth",),
            explanation="Mean frequency of the noise minus that of the uLDCT; below 0 when the noise left is coarser.",
        ),
    )  # fmt: skip

    def of_slice(self, image: np.ndarray, truth: SliceTruth) -> Statistics:
        """Power spectra of the errors of the image and of the uLDCT; see :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        lung, width = truth.anatomy.regions["lung"], truth.window.width
        errors = {"nps": image - truth.image, "nps_low": truth.low - truth.image}
        return {name: noise_power(e.astype(np.float64) * width, lung) for name, e in errors.items()}

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        frequency = (np.arange(NPS_BINS) + 0.5)[LOWEST_BIN:] / (2.0 * NPS_BINS) / pixel_mm
        peak, mean = peak_and_mean(statistics["nps"], frequency)
        low_peak, low_mean = peak_and_mean(statistics["nps_low"], frequency)
        return {"nps_peak_shift_per_mm": peak - low_peak, "nps_mean_shift_per_mm": mean - low_mean}


def noise_power(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Radial mean of the power spectrum of ``error`` [N, N] in HU inside of ``mask``, without its slow part, [NPS_BINS].

    The local mean (a Gaussian of 6 pixels inside of the mask) is subtracted first: bias and misplaced structure would leak
    over the mask's edge into every frequency. White noise of variance σ² gives σ² in every bin from :data:`LOWEST_BIN` on.
    NaN for a mask that is too small.
    """
    from scipy import ndimage

    from ipv2_bench.metrics.anatomy import LEAST_PIXELS

    if mask.sum() < LEAST_PIXELS:
        return np.full(NPS_BINS, np.nan)
    inside = np.where(mask, error, 0.0)
    weight_near = ndimage.gaussian_filter(mask.astype(np.float64), TREND_PX)
    local = ndimage.gaussian_filter(inside, TREND_PX) / np.maximum(weight_near, 1e-6)
    masked = np.where(mask, error - local, 0.0)
    n = len(error)
    power = np.abs(np.fft.rfft2(masked)) ** 2 / mask.sum()
    radius = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None])
    ring = np.minimum((radius * 2 * NPS_BINS).astype(int), NPS_BINS).ravel()
    # All columns of a real transform but the first and the last count twice.
    twice = np.where((np.arange(power.shape[1]) > 0) & (np.arange(power.shape[1]) < n / 2), 2.0, 1.0)
    weight = np.broadcast_to(twice, power.shape).ravel()
    counted = np.bincount(ring, weights=weight, minlength=NPS_BINS + 1)[:NPS_BINS]
    summed = np.bincount(ring, weights=weight * power.ravel(), minlength=NPS_BINS + 1)[:NPS_BINS]
    return np.divide(summed, counted, out=np.full(NPS_BINS, np.nan), where=counted > 0)


def peak_and_mean(nps: np.ndarray, frequency: np.ndarray) -> tuple[float, float]:
    """Peak and mean frequency of a power spectrum from :data:`LOWEST_BIN` on; NaN where there is no noise.

    Parameters
    ----------
    nps
        Power spectrum, [NPS_BINS].
    frequency
        Frequency of its bins from :data:`LOWEST_BIN` on.
    """
    nps = nps[LOWEST_BIN:]
    if not np.isfinite(nps).all() or nps.sum() <= 0:
        return float("nan"), float("nan")
    smooth = np.convolve(np.pad(nps, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return float(frequency[np.argmax(smooth)]), float((nps * frequency).sum() / nps.sum())
