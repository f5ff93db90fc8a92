"""Embeddings of time: t as a vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LONGEST_PERIOD = 10000.0


class SinusoidalEmbedding(nn.Module):
    """Sines and cosines of ``scale·t`` at geometrically spaced frequencies: [B] → [B, width]."""

    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        half = width // 2
        # The last frequency is that of the longest period itself, in CoreDiff and in the U-Net of FFM.
        self.step = -math.log(LONGEST_PERIOD) / (half - 1)
        self.pairs, self.scale = half, scale

    def forward(self, t: Tensor) -> Tensor:
        # Not a buffer: averaging the weights would average it too, with a rounding error each time.
        frequencies = torch.exp(self.step * torch.arange(self.pairs, device=t.device, dtype=t.dtype))
        phase = self.scale * t[:, None] * frequencies[None]
        return torch.cat([phase.sin(), phase.cos()], dim=1)


class TimeEmbedding(nn.Sequential):
    """A sinusoidal embedding and the layers after it; sines are computed in float32, or in float64 where the weights are."""

    def __init__(self, embedding: SinusoidalEmbedding, first: nn.Linear, *layers: nn.Module) -> None:
        super().__init__(embedding, first, *layers)

    def forward(self, t: Tensor) -> Tensor:
        """Embedding of times, [B] → [B, width of the last layer]."""
        embedding, *layers = self
        dtype = layers[0].weight.dtype
        h = embedding(t.to(torch.float64 if dtype == torch.float64 else torch.float32)).to(dtype)
        for layer in layers:
            h = layer(h)
        return h
