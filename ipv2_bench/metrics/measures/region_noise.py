"""Noise and bias in air, lung, soft tissue and bone."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.base import REGIONS, Column, SliceTruth, Statistics, TruthMeasure
from ipv2_bench.metrics.measures.image_error import error_hu, over_region


class RegionNoise(TruthMeasure):
    """Standard deviation of the error (noise) and its mean (bias) in each region, means over slices."""

    version = 1
    order = 20
    columns = (
        *(
            Column(
                f"noise_hu_{region}", f"noise {region} HU", "HU", "detail" if region == "bone" else "fidelity", "lower",
                ("truth",), explanation=f"Standard deviation of the error in the {region}.",
            )
            for region in REGIONS
        ),
        *(
            Column(
                f"bias_hu_{region}", f"bias {region} HU", "HU", "detail", 0.0, ("truth",),
                explanation=f"Mean error in the {region}.",
            )
            for region in REGIONS
        ),
    )  # fmt: skip

    def of_slice(self, image: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        error = error_hu(image, truth)
        values: Statistics = {}
        for region in REGIONS:
            inside = error[truth.anatomy.regions[region]]
            values[f"noise_hu_{region}"] = over_region(inside, np.std)
            values[f"bias_hu_{region}"] = over_region(inside, np.mean)
        return values
