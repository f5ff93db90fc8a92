"""Checkerboards: the peak of an image's power spectrum at the Nyquist frequency over its neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure

PEAK, NEAR, FAR = 1, 3, 10
"""In frequency bins: half width of the peak, which the taper spreads, and where its neighbourhood begins and ends."""


class Checkerboard(TruthMeasure):
    """Largest of three peaks (alternating rows, columns, or both) of the spectrum summed over slices, over those of the truth.

    Anatomy has such peaks, too, where edges follow the pixels (3 in the phantom); only those of the truth above 1 count.
    """

    version = 1
    order = 65
    columns = (
        Column(
            "nyquist_peak", "Nyquist peak", None, "detail", "lower", ("truth",), scale="log",
            explanation="Power of the slices at the Nyquist frequency over that of its neighbourhood, relative to the truth's "
            "where that is above 1, the largest of three directions: far above 1 for a checkerboard of alternating pixels, "
            "near 1 or below without one.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Mean power of each peak and of its neighbourhood, [3]; see :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        statistics: Statistics = {}
        for name, image in (("nyquist", hu), ("nyquist_truth", truth.hu)):
            shown = truth.window.hu(truth.window.unit(image.astype(np.float64)))
            statistics[name], statistics[f"{name}_near"] = nyquist_power(shown)
        return statistics

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        near, near_of_truth = statistics["nyquist_near"], statistics["nyquist_truth_near"]
        if not (np.isfinite(near).all() and (near > 0).all() and (near_of_truth > 0).all()):
            return {"nyquist_peak": float("nan")}
        of_truth = np.maximum(statistics["nyquist_truth"] / near_of_truth, 1.0)
        return {"nyquist_peak": float((statistics["nyquist"] / near / of_truth).max())}


def nyquist_power(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean power at (½, 0), (0, ½) and (½, ½) cycles per pixel, and around each of them, [3] both.

    NaN for images of less than 32 pixels, whose spectrum has no such neighbourhood. The image is tapered (Hann), since its edges
    would leak into the neighbourhood.

    Parameters
    ----------
    image
        [N, N] in any unit, whose square is the result's.
    """
    n = len(image) - len(image) % 2
    if n < 32:
        return np.full(3, np.nan), np.full(3, np.nan)
    taper = np.hanning(n + 1)[:n]
    power = np.abs(np.fft.fft2((image[:n, :n] - image.mean()) * taper[:, None] * taper)) ** 2
    offset = np.arange(-FAR, FAR + 1)
    distance = np.maximum(np.abs(offset)[:, None], np.abs(offset))
    peak, near = [], []
    for row, column in ((n // 2, 0), (0, n // 2), (n // 2, n // 2)):
        around = power[np.ix_((row + offset) % n, (column + offset) % n)]
        peak.append(around[distance <= PEAK].mean())
        near.append(around[distance >= NEAR].mean())
    return np.array(peak), np.array(near)
