"""CLIP-FID: Fréchet distance in the image features of CLIP ViT-B/32."""

from __future__ import annotations

from ipv2_bench.metrics.base import Column, PretrainedSpace
from ipv2_bench.metrics.weights import CLIP


class Clip(PretrainedSpace):
    """The 512 image features of OpenAI's CLIP ViT-B/32, with weights that are verified by their SHA-256."""

    version = 1
    order = 11
    file, features = CLIP, "ClipFeatures"
    frechet, at_infinity, scale = "clip_fid_x100", "clip_fid_inf_x100", 100.0
    columns = (
        Column(
            "clip_fid_x100", "CLIP-FID×100", None, "distance", "lower", ("label", "weights"), published=True, scale="log",
            explanation="Fréchet distance × 100 to the label in the features of CLIP ViT-B/32.",
        ),
        Column(
            "clip_fid_inf_x100", "CLIP-FID×100 at N=∞", None, "detail", "lower", ("label", "weights"), scale="log",
            explanation="CLIP-FID × 100 extrapolated to infinitely many images.",
        ),
    )  # fmt: skip
