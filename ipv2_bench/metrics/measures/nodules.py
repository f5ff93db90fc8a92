"""Contrast of nodules, and how much of it is kept."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure
from ipv2_bench.metrics.measures.image_error import error_hu


class Nodules(TruthMeasure):
    """Contrast of nodules to the lung around them, means over nodules, then over the slices that show one."""

    version = 1
    order = 40
    columns = (
        Column(
            "nodule_cnr", "nodule CNR", None, "detail", "higher", ("truth", "nodules"),
            explanation="Contrast of a nodule to the lung around it over the standard deviation of the error there.",
        ),
        Column(
            "nodule_contrast", "nodule contrast / truth", None, "detail", 1.0, ("truth", "nodules"),
            explanation="Contrast of a nodule over that of the truth: 1 is kept, 0 is gone.",
        ),
    )  # fmt: skip

    def of_slice(self, image: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        error, width = error_hu(image, truth), truth.window.width
        ratios, contrasts = [], []
        for nodule in truth.anatomy.nodules:
            contrast, true = (
                (x[nodule.inside].mean(dtype=np.float64) - x[nodule.around].mean(dtype=np.float64)) * width
                for x in (image, truth.image)
            )
            ratios.append(contrast / max(error[nodule.around].std(), 1e-3))
            contrasts.append(contrast / true)
        return {
            "nodule_cnr": float(np.mean(ratios)) if ratios else float("nan"),
            "nodule_contrast": float(np.mean(contrasts)) if contrasts else float("nan"),
        }
