"""FID and KID: distances in the features of Inception v3, as clean-fid computes them."""

from __future__ import annotations

from ipv2_bench.metrics.base import Column, PretrainedSpace
from ipv2_bench.metrics.weights import INCEPTION


class Inception(PretrainedSpace):
    """The 2048 pooled features of clean-fid's Inception v3, with weights that are verified by their SHA-256."""

    version = 1
    order = 10
    file, features = INCEPTION, "InceptionFeatures"
    frechet, at_infinity, kernel = "fid", "fid_inf", "kid_x100"
    columns = (
        Column(
            "fid", "FID", None, "distance", "lower", ("label", "weights"), published=True, scale="log",
            explanation="Fréchet distance to the label in the features of Inception v3.",
        ),
        Column(
            "kid_x100", "KID×100", None, "distance", "lower", ("label", "weights"), published=True,
            explanation="Kernel distance × 100 to the label in the features of Inception v3.",
        ),
        Column(
            "fid_inf", "FID at N=∞", None, "detail", "lower", ("label", "weights"), scale="log",
            explanation="FID extrapolated to infinitely many images.",
        ),
    )  # fmt: skip
