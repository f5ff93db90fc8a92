"""Task transfer: sharpness of edges of low, medium and high contrast."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import EDGE_CONTRASTS, Column, SliceTruth, Statistics, TruthMeasure

IN_WORDS = {100: "as between fat and muscle", 300: "as in the mediastinum and at bone", 900: "as between tissue and lung"}
"""Where each contrast is found."""


class TaskTransfer(TruthMeasure):
    """Frequency at which the transfer across edges of a contrast falls to one half, over that of the truth.

    A network can be sharp at strong edges and blur faint ones, so that one number does not tell. All edges of the slices give
    one mean profile; what is misplaced counts as blur here, unlike at the lung's border (``edge_mtf50``).
    """

    version = 1
    order = 51
    summed = tuple(f"{name}_{contrast}" for name in ("edge", "truth", "points") for contrast in EDGE_CONTRASTS)
    columns = tuple(
        Column(
            f"ttf50_{contrast}", f"TTF50 at {contrast} HU / truth", None, "detail", 1.0, ("truth",), scale="log",
            explanation=f"Frequency at which the task transfer across edges of about {contrast} HU ({IN_WORDS[contrast]}) falls "
            "to one half, over that of the truth: 1 is as sharp; misplaced edges count as blur.",
        )
        for contrast in EDGE_CONTRASTS
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Summed profiles of image and truth, and their number; NaN where the slice has no such edge."""
        from scipy import ndimage

        from ipv2_bench.metrics.edges import offsets, profile

        # The truth's edges were found inside of the window, which a denoiser's output cannot leave.
        spline = ndimage.spline_filter(truth.window.hu(truth.window.unit(hu.astype(np.float64))))
        statistics: Statistics = {}
        for contrast, edges in truth.anatomy.edges.items():
            n = edges.at.shape[1]
            own = profile(spline, edges.at, edges.normal) if n else np.full(len(offsets()), np.nan)
            statistics[f"edge_{contrast}"] = n * own
            statistics[f"truth_{contrast}"] = n * edges.profile if n else own
            statistics[f"points_{contrast}"] = float(n) if n else float("nan")
        return statistics

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        from ipv2_bench.metrics.edges import offsets
        from ipv2_bench.metrics.measures.lung_edge import mtf50

        values = {}
        for contrast in EDGE_CONTRASTS:
            count = np.full(len(offsets()), float(statistics[f"points_{contrast}"]))
            sharp, true = (mtf50(statistics[f"{name}_{contrast}"], count) for name in ("edge", "truth"))
            values[f"ttf50_{contrast}"] = sharp / true
        return values
