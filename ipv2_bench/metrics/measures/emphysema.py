"""Emphysema index: share of the lung below −950 HU."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure
from ipv2_bench.metrics.measures.image_error import over_region

THRESHOLD_HU = -950.0


class Emphysema(TruthMeasure):
    """Low-attenuation area of the lung (LAA−950) minus that of the truth; noise makes it look emphysematous, blur healthy."""

    version = 1
    order = 30
    columns = (
        Column(
            "laa950_error", "LAA−950 error %", "%", "detail", 0.0, ("truth",),
            explanation="Share of the lung below −950 HU, in percent, minus that of the truth: the emphysema index of a noisy "
            "image is too high, that of a blurred one too low.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        lung = truth.anatomy.regions["lung"]
        own, true = (over_region(x[lung] < THRESHOLD_HU, np.mean) for x in (hu, truth.hu))
        return {"laa950_error": 100.0 * (own - true)}
