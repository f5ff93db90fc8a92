"""Time as a vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SinusoidalEmbedding(nn.Module):
    """Sines and cosines of ``scale·t`` at geometrically spaced frequencies: [B] → [B, width]."""

    def __init__(self, width: int, scale: float = 1.0, max_period: float = 10000.0, last: bool = False) -> None:
        super().__init__()
        half = width // 2
        # CoreDiff's spacing reaches max_period itself, FM's stops one step before.
        self.step = -math.log(max_period) / (half - 1 if last else half)
        self.pairs, self.scale = half, scale

    def forward(self, t: Tensor) -> Tensor:
        # No buffer: averaging the weights would average it too, and round it a little each time.
        frequencies = torch.exp(self.step * torch.arange(self.pairs, device=t.device))
        phase = self.scale * t.float()[:, None] * frequencies[None]
        return torch.cat([phase.sin(), phase.cos()], dim=1)
