"""Bias of the HU of fat, muscle and airways."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.base import TISSUES, Column, SliceTruth, Statistics, TruthMeasure
from ipv2_bench.metrics.measures.image_error import over_region

IN_WORDS = {"fat": "fat", "muscle": "muscle and organs", "airway": "the air of the trachea and large bronchi"}
"""Each tissue in words."""


class TissueBias(TruthMeasure):
    """Mean error of each tissue in HU, means over the slices that show it; scanners are accepted by these HU."""

    version = 1
    order = 21
    columns = tuple(
        Column(
            f"bias_hu_{tissue}", f"bias {tissue} HU", "HU", "detail", 0.0, ("truth",),
            explanation=f"Mean error in {IN_WORDS[tissue]}, where the truth is inside of the HU window: above 0 is too dense.",
        )
        for tissue in TISSUES
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        error = hu.astype(np.float64) - truth.hu
        return {f"bias_hu_{tissue}": over_region(error[truth.anatomy.tissues[tissue]], np.mean) for tissue in TISSUES}
