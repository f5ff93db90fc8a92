"""Contrast of nodules, and how much of it is kept."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure


class Nodules(TruthMeasure):
    """Contrast of nodules to the lung around them, means over nodules, then over the slices that show one."""

    version = 2
    order = 40
    columns = (
        Column(
            "nodule_cnr", "nodule CNR", None, "detail", "higher", ("truth", "nodules"), scale="log",
            explanation="Contrast of a nodule to the lung around it over the standard deviation of the error there.",
        ),
        Column(
            "nodule_contrast", "nodule contrast / truth", None, "detail", 1.0, ("truth", "nodules"), scale="log",
            explanation="Contrast of a nodule over that of the truth: 1 is kept, 0 is gone.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        error = hu.astype(np.float64) - truth.hu
        ratios, contrasts = [], []
        for nodule in truth.anatomy.nodules:
            contrast, true = (
                x[nodule.inside].mean(dtype=np.float64) - x[nodule.around].mean(dtype=np.float64)
                for x in (hu, truth.hu)
            )
            ratios.append(contrast / max(error[nodule.around].std(), 1e-3))
            contrasts.append(contrast / true)
        return {
            "nodule_cnr": float(np.mean(ratios)) if ratios else float("nan"),
            "nodule_contrast": float(np.mean(contrasts)) if contrasts else float("nan"),
        }
