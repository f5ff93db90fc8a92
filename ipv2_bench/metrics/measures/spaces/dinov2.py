"""Distances in the features of DINOv2 ViT-S/14, where its weights are there."""

from __future__ import annotations

from ipv2_bench.metrics.base import Column, PretrainedSpace
from ipv2_bench.metrics.weights import DINOV2


class DinoV2(PretrainedSpace):
    """The 384 features of the class token of DINOv2 ViT-S/14, which learned from photographs without labels.

    Present where its file is, see :data:`ipv2_bench.metrics.weights.DINOV2`.
    """

    version = 1
    order = 27
    file, features = DINOV2, "DinoFeatures"
    optional = True
    frechet, at_infinity = "fd_dinov2", "fd_inf_dinov2"
    columns = (
        Column(
            "fd_dinov2", "FD (DINOv2)", None, "distance", "lower", ("label", "weights"), scale="log",
            explanation="Fréchet distance to the label in the features of DINOv2 ViT-S/14.",
        ),
        Column(
            "fd_inf_dinov2", "FD (DINOv2) at N=∞", None, "detail", "lower", ("label", "weights"), scale="log",
            explanation="That Fréchet distance extrapolated to infinitely many images.",
        ),
    )  # fmt: skip
