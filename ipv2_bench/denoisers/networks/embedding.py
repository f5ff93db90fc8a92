"""Time as a vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SinusoidalEmbedding(nn.Module):
    """Sines and cosines of ``scale·t`` at geometrically spaced frequencies: [B] → [B, width]."""

    frequencies: Tensor

    def __init__(self, width: int, scale: float = 1.0, max_period: float = 10000.0, last: bool = False) -> None:
        super().__init__()
        half = width // 2
        # CoreDiff's spacing reaches max_period itself, FM's stops one step before.
        steps = half - 1 if last else half
        self.register_buffer(
            "frequencies", torch.exp(-math.log(max_period) / steps * torch.arange(half)), persistent=False
        )
        self.scale = scale

    def forward(self, t: Tensor) -> Tensor:
        phase = self.scale * t.float()[:, None] * self.frequencies[None]
        return torch.cat([phase.sin(), phase.cos()], dim=1)
