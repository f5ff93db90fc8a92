"""Distances in the features of EfficientNet-Lite0, a network trained on photographs that every installation has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipv2_bench.metrics.base import Column, FeatureExtractor, FeatureSpace
from ipv2_bench.weights import EFFICIENTNET_LITE0

_SPACE = "in the features of EfficientNet-Lite0, trained on ImageNet"


class EfficientNetLite0(FeatureSpace):
    """The 512 means of the five maps of EfficientNet-Lite0, fine and coarse, with weights that are verified by their SHA-256.

    They are those of the installed package, which the losses of denoisers use, too.
    """

    version = 1
    order = 25
    frechet, at_infinity, kernel = "fd_efficientnet", "fd_inf_efficientnet", "kid_x100_efficientnet"
    further = {  # noqa: RUF012
        name: f"{name}_efficientnet" for name in ("cmmd", "sliced", "precision", "recall", "density", "coverage")
    }
    columns = (
        Column(
            "fd_efficientnet", "FD (EfficientNet)", None, "distance", "lower", ("label",), scale="log",
            explanation=f"Fréchet distance to the label {_SPACE}.",
        ),
        Column(
            "kid_x100_efficientnet", "KID×100 (EfficientNet)", None, "detail", "lower", ("label",),
            explanation="Kernel distance × 100 to the label in the same space.",
        ),
        Column(
            "fd_inf_efficientnet", "FD (EfficientNet) at N=∞", None, "detail", "lower", ("label",), scale="log",
            explanation="That Fréchet distance extrapolated to infinitely many images.",
        ),
        Column(
            "cmmd_efficientnet", "CMMD (EfficientNet)", None, "detail", "lower", ("label",),
            explanation="1000 times the squared distance with CMMD's Gaussian kernel to the label in the same space.",
        ),
        Column(
            "sliced_efficientnet", "sliced W² (EfficientNet)", None, "detail", "lower", ("label",), scale="log",
            explanation="Sliced squared Wasserstein distance to the label in the same space, which needs no covariance.",
        ),
        Column(
            "precision_efficientnet", "precision (EfficientNet)", None, "detail", "higher", ("label",),
            explanation="Share of the images that lie among the label's 5 nearest neighbours in the same space.",
        ),
        Column(
            "recall_efficientnet", "recall (EfficientNet)", None, "detail", "higher", ("label",),
            explanation="Share of the label's images that lie among the images' 5 nearest neighbours in the same space.",
        ),
        Column(
            "density_efficientnet", "density (EfficientNet)", None, "detail", "higher", ("label",),
            explanation="In how many neighbourhoods of the label's images an image lies, over 5.",
        ),
        Column(
            "coverage_efficientnet", "coverage (EfficientNet)", None, "detail", "higher", ("label",),
            explanation="Share of the label's images that have an image in their neighbourhood.",
        ),
    )  # fmt: skip

    def sha256(self, weights: Path | None) -> str | None:
        """See :class:`~ipv2_bench.metrics.base.FeatureSpace`."""
        return None if EFFICIENTNET_LITE0.find() is None else EFFICIENTNET_LITE0.sha256

    def extractor(self, training: np.ndarray, weights: Path | None) -> FeatureExtractor:
        """See :class:`~ipv2_bench.metrics.base.FeatureSpace`."""
        from ipv2_bench.metrics.extractors import BackboneFeatures

        return BackboneFeatures(EFFICIENTNET_LITE0, EFFICIENTNET_LITE0.need())
