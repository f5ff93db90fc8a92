"""A discriminator that judges an image with features of its reference in view, by cross-attention."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

OCTAVES = 4
"""Frequencies of the code of a place, from half a period over the image to four."""


class AttendingCritic(nn.Module):
    """Convolutions down to an eighth of the size, each place of which asks the reference's features of all scales.

    Parameters
    ----------
    channels
        Of the reference's maps of features.
    width
        Channels of the first convolution; the map that asks has four times as many.
    heads
        Of the attention; a divisor of ``4 * width``.
    """

    def __init__(self, channels: Sequence[int], width: int = 32, heads: int = 4) -> None:
        super().__init__()
        if width < 1 or heads < 1 or 4 * width % heads:
            raise ValueError(f"critic_width is {width}: expected at least 1, and 4 times it a multiple of {heads} heads")
        widths = [1, width, 2 * width, 4 * width]
        self.heads = heads
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(i, o, 4, stride=2, padding=1)) for i, o in itertools.pairwise(widths)
        )
        self.known = nn.ModuleList(nn.Conv2d(c, widths[-1], 1) for c in channels)
        self.place = nn.Linear(4 * OCTAVES, widths[-1])
        self.ask, self.answer = nn.Linear(widths[-1], widths[-1]), nn.Linear(widths[-1], 2 * widths[-1])
        self.fused = nn.Linear(widths[-1], widths[-1])
        self.judge = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Images [B, 1, H, W] and the reference's maps [B, C, h, w] → a judgement of each place, [B, 1, H/8, W/8]."""
        x = image
        for convolution in self.down:
            x = F.leaky_relu(convolution(x), 0.2)
        size = x.shape[-2:]
        questions = self.ask(_tokens(x) + self._places(x))
        known = [self._known(project(_at_most(m, size))) for project, m in zip(self.known, features, strict=True)]
        keys, values = self.answer(torch.cat(known, dim=1)).chunk(2, dim=-1)
        found = F.scaled_dot_product_attention(self._split(questions), self._split(keys), self._split(values))
        found = self.fused(found.transpose(1, 2).flatten(2))
        x = x + found.transpose(1, 2).unflatten(2, size)
        return self.judge(F.leaky_relu(x, 0.2))

    def _known(self, features: Tensor) -> Tensor:
        return _tokens(features) + self._places(features)

    def _places(self, image: Tensor) -> Tensor:
        """A code of each place of a map [B, C, h, w], [h·w, C]: sines and cosines of where it is in the image."""
        height, width = image.shape[-2:]
        y, x = ((torch.arange(n, device=image.device, dtype=image.dtype) + 0.5) / n for n in (height, width))
        at = torch.stack([y[:, None].expand(-1, width), x.expand(height, -1)], dim=-1).flatten(0, 1)
        angles = (at[..., None] * math.pi * 2.0 ** torch.arange(OCTAVES, device=image.device)).flatten(1)
        return self.place(torch.cat([angles.sin(), angles.cos()], dim=1).to(image.dtype))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _tokens(image: Tensor) -> Tensor:
    """A map [B, C, h, w] as [B, h·w, C]."""
    return image.flatten(2).transpose(1, 2)


def _at_most(image: Tensor, size: Sequence[int]) -> Tensor:
    """A map averaged down to a size, where it is larger."""
    smaller = (min(image.shape[-2], size[0]), min(image.shape[-1], size[1]))
    return image if image.shape[-2:] == smaller else F.adaptive_avg_pool2d(image, smaller)
