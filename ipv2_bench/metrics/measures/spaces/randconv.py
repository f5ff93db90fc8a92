"""Distances in the offline feature space, which needs no weights. They are never called FID."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipv2_bench.metrics.base import Column, FeatureExtractor, FeatureSpace


class RandConv(FeatureSpace):
    """Fréchet and kernel distance in the features of random convolutional networks, standardised on training NDCT."""

    version = 1
    order = 20
    frechet, at_infinity, kernel = "fd_randconv", "fd_inf_randconv", "kid_x100_randconv"
    columns = (
        Column(
            "fd_randconv", "FD (randconv)", None, "distance", "lower", ("label",), scale="log",
            explanation="Fréchet distance to the label in an untrained feature space; comparable within one data set only.",
        ),
        Column(
            "kid_x100_randconv", "KID×100 (randconv)", None, "distance", "lower", ("label",),
            explanation="Kernel distance × 100 to the label in the same space.",
        ),
        Column(
            "fd_inf_randconv", "FD (randconv) at N=∞", None, "detail", "lower", ("label",), scale="log",
            explanation="That Fréchet distance extrapolated to infinitely many images.",
        ),
    )  # fmt: skip

    def sha256(self, weights: Path | None) -> str | None:
        """Empty, since there are no weights: rows hold the hash of the standardised kernels instead."""
        return ""

    def extractor(self, training: np.ndarray, weights: Path | None) -> FeatureExtractor:
        """See :class:`~ipv2_bench.metrics.base.FeatureSpace`."""
        from ipv2_bench.metrics.offline_features import RandomConvFeatures

        return RandomConvFeatures(training)
