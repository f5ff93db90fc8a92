"""Noise and bias in air, lung, soft tissue and bone."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.base import REGIONS, Column, SliceTruth, Statistics, TruthMeasure
from ipv2_bench.metrics.measures.image_error import over_region

IN_WORDS = {"background": "air around the body", "lung": "lung", "tissue": "soft tissue", "bone": "bone"}
"""Each region in words."""


class RegionNoise(TruthMeasure):
    """Standard deviation of the error (noise) and its mean (bias) in each region in HU, means over slices.

    Nothing is clipped before: the noise of the uLDCT is that of its scan. A denoiser's output is what it is, inside of the
    window, so that in air at −1000 HU it has errors to one side only.
    """

    version = 2
    order = 20
    columns = (
        *(
            Column(
                f"noise_hu_{region}", f"noise {region} HU", "HU", "detail" if region == "bone" else "fidelity", "lower",
                ("truth",), scale="log",
                explanation=f"Standard deviation of the error in the {IN_WORDS[region]}, where the truth is inside of the HU "
                "window; the uLDCT is not clipped, while a denoiser's output cannot leave the window.",
            )
            for region in REGIONS
        ),
        *(
            Column(
                f"bias_hu_{region}", f"bias {region} HU", "HU", "detail", 0.0, ("truth",),
                explanation=f"Mean error in the {IN_WORDS[region]}, where the truth is inside of the HU window: above 0 is too "
                "dense, as any noisy output is in air at the window's lower end, which it cannot leave.",
            )
            for region in REGIONS
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        error = hu.astype(np.float64) - truth.hu
        values: Statistics = {}
        for region in REGIONS:
            inside = error[truth.anatomy.regions[region]]
            values[f"noise_hu_{region}"] = over_region(inside, lambda e: e.std(ddof=1))  # bone may have few pixels
            values[f"bias_hu_{region}"] = over_region(inside, np.mean)
        return values
