"""Distances in the features of a ResNet-50 trained on RadImageNet, where its weights are there."""

from __future__ import annotations

from ipv2_bench.metrics.base import Column, PretrainedSpace
from ipv2_bench.metrics.weights import RADIMAGENET


class RadImageNet(PretrainedSpace):
    """The 2048 features of a ResNet-50 that learned from medical images.

    Present where its file is, see :data:`ipv2_bench.metrics.weights.RADIMAGENET`.
    """

    version = 1
    order = 28
    file, features = RADIMAGENET, "RadImageNetFeatures"
    optional = True
    frechet, at_infinity = "fd_radimagenet", "fd_inf_radimagenet"
    columns = (
        Column(
            "fd_radimagenet", "FD (RadImageNet)", None, "distance", "lower", ("label", "weights"), scale="log",
            explanation="Fréchet distance to the label in the features of a ResNet-50 trained on RadImageNet.",
        ),
        Column(
            "fd_inf_radimagenet", "FD (RadImageNet) at N=∞", None, "detail", "lower", ("label", "weights"), scale="log",
            explanation="That Fréchet distance extrapolated to infinitely many images.",
        ),
    )  # fmt: skip
