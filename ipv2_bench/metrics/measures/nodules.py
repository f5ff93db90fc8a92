"""Contrast of nodules and how much of it is kept, their density and their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure

if TYPE_CHECKING:
    from ipv2_bench.metrics.anatomy import Nodule


class Nodules(TruthMeasure):
    """Contrast of nodules to the lung around them, means over nodules, then over the slices that show one."""

    version = 3
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
        Column(
            "bias_hu_nodule", "bias nodule HU", "HU", "detail", 0.0, ("truth", "nodules"),
            explanation="Mean error inside of a nodule: above 0 is too dense.",
        ),
        Column(
            "nodule_area", "nodule area / truth", None, "detail", 1.0, ("truth", "nodules"), scale="log",
            explanation="Area of a nodule at half of its contrast over that of the truth: 1 is its size.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        error = hu.astype(np.float64) - truth.hu
        ratios, contrasts, biases, areas = [], [], [], []
        for nodule in truth.anatomy.nodules:
            contrast, true = (
                x[nodule.inside].mean(dtype=np.float64) - x[nodule.around].mean(dtype=np.float64)
                for x in (hu, truth.hu)
            )
            ratios.append(contrast / max(error[nodule.around].std(), 1e-3))
            contrasts.append(contrast / true)
            biases.append(error[nodule.inside].mean())
            areas.append(area_at_half(hu, nodule) / area_at_half(truth.hu, nodule))
        each = {"nodule_cnr": ratios, "nodule_contrast": contrasts, "bias_hu_nodule": biases, "nodule_area": areas}
        return {name: float(np.mean(values)) if values else float("nan") for name, values in each.items()}


def area_at_half(hu: np.ndarray, nodule: Nodule) -> float:
    """Pixels of a nodule and next to it that are denser than half way from the lung around to the nodule, at least one.

    Those that touch the nodule by way of others count; a vessel farther than two pixels away does not.
    """
    from scipy import ndimage

    half = 0.5 * (float(hu[nodule.inside].mean(dtype=np.float64)) + float(hu[nodule.around].mean(dtype=np.float64)))
    near = ndimage.binary_dilation(nodule.inside, iterations=2)
    connected = ndimage.binary_propagation(nodule.inside & (hu > half), mask=near & (hu > half))
    return float(max(1, connected.sum()))
