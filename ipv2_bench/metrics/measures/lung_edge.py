"""Sharpness of the border between lung and soft tissue."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure


class LungEdge(TruthMeasure):
    """Modulation transfer across the lung's border: Fourier transform of the slope of the profile over all slices."""

    version = 1
    order = 50
    summed = ("edge", "edge_truth", "edge_count")
    columns = (
        Column(
            "edge_mtf50", "lung border MTF50 / truth", None, "detail", 1.0, ("truth",),
            explanation="Frequency at which the transfer across the lung's border falls to one half, over that of the "
            "truth: 1 is as sharp as the truth.",
        ),
    )  # fmt: skip

    def of_slice(self, image: np.ndarray, truth: SliceTruth) -> Statistics:
        """Sum of HU and number of pixels in each bin of distance; see :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        from ipv2_bench.metrics.anatomy import edge_bins

        anatomy, bins = truth.anatomy, edge_bins()
        sums: Statistics = {}
        for name, x in (("edge", image), ("edge_truth", truth.image)):
            hu = truth.window.hu(x.astype(np.float64)).ravel()[anatomy.edge_pixels]
            sums[name] = np.bincount(anatomy.edge_bins, weights=hu, minlength=bins)
        return sums | {"edge_count": np.bincount(anatomy.edge_bins, minlength=bins).astype(np.float64)}

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        sharp, true = (mtf50(statistics[name], statistics["edge_count"]) for name in ("edge", "edge_truth"))
        return {"edge_mtf50": sharp / true}


def mtf50(total: np.ndarray, count: np.ndarray) -> float:
    """Frequency in 1/pixel at which the transform of the border's slope falls to one half; NaN without a border.

    Parameters
    ----------
    total, count
        Sum of HU and number of pixels in each bin of distance, both [k].
    """
    from ipv2_bench.metrics.anatomy import EDGE_STEP

    if (count < 1).any():
        return float("nan")
    slope = np.diff(total / count)
    # Structure far from the border is no part of its slope: the last two pixels on either side fade.
    fade = round(2.0 / EDGE_STEP)
    last = len(slope)
    slope = slope * np.interp(np.arange(last), (-1, fade, last - 1 - fade, last), (0.0, 1.0, 1.0, 0.0))
    padded = 16 * last
    transfer = np.abs(np.fft.rfft(slope, padded))
    if transfer[0] <= 0:
        return float("nan")
    below = np.flatnonzero(transfer < 0.5 * transfer[0])
    if not len(below):
        return float("nan")
    k = below[0]
    # Between two samples, by a straight line.
    part = (transfer[k - 1] - 0.5 * transfer[0]) / (transfer[k - 1] - transfer[k])
    return float((k - 1 + part) / (padded * EDGE_STEP))
