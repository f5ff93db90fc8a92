"""CLIP-FID: Fréchet distance in the image features of CLIP ViT-B/32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipv2_bench.metrics.base import Column, FeatureExtractor, FeatureSpace
from ipv2_bench.metrics.weights import CLIP


class Clip(FeatureSpace):
    """The 512 image features of OpenAI's CLIP ViT-B/32, with weights that are verified by their SHA-256."""

    version = 1
    order = 11
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

    def sha256(self, weights: Path | None) -> str | None:
        """See :class:`~ipv2_bench.metrics.base.FeatureSpace`."""
        return None if CLIP.find(weights) is None else CLIP.sha256

    def extractor(self, training: np.ndarray, weights: Path | None) -> FeatureExtractor:
        """See :class:`~ipv2_bench.metrics.base.FeatureSpace`."""
        from ipv2_bench.metrics.extractors import ClipFeatures

        return ClipFeatures(CLIP, CLIP.need(weights))
