"""DU-GAN's discriminator (arXiv 2108.10772): a U-Net that judges the image as a whole and each of its pixels."""

from __future__ import annotations

import itertools
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDEST = 512
"""Channels of the deepest levels at most."""


class UNetCritic(nn.Module):
    """Halved ``levels`` times and enlarged again, with spectral norm; no normalisation, since it would hide what it judges.

    Parameters
    ----------
    width
        Channels of the first level, doubled from level to level up to 512; the paper's 64.
    levels
        The paper's 6: images have at least ``2**levels`` pixels along a side.
    """

    def __init__(self, width: int = 64, levels: int = 6) -> None:
        super().__init__()
        if width < 1 or levels < 1:
            raise ValueError(f"width is {width} and levels {levels}: expected at least 1")
        self.levels = levels
        widths = [1, *(min(width * 2**i, WIDEST) for i in range(levels))]
        pairs = list(itertools.pairwise(widths))
        deepest = widths[-1]
        self.down = nn.ModuleList(Down(i, o) for i, o in pairs)
        self.bottom, self.middle = twice(deepest, deepest), twice(deepest, deepest)
        self.beside = limited(nn.Conv2d(deepest, deepest, 1))
        self.whole = drawn(nn.Linear(deepest, 1))
        self.up = nn.ModuleList(Up(o, i) for i, o in reversed(pairs))
        self.each = limited(nn.Conv2d(1, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 1, H, W] → the judgement of the whole [B], and of each pixel [B, 1, H, W].

        Raises
        ------
        ValueError
            When the images are too small for the levels.
        """
        least = 2**self.levels
        if min(image.shape[-2:]) < least:
            raise ValueError(f"{self.levels} levels need images of {least} pixels, and got {image.shape[-2]}×{image.shape[-1]}")
        x, seen = image, []
        for down in self.down:
            x, before = down(x)
            seen.append(before)
        x = self.bottom(x) + self.beside(x)
        x = self.middle(x) + x
        whole = self.whole(F.leaky_relu(x, 0.2).mean(dim=(2, 3)))[:, 0]
        for up in self.up:
            x = up(x, seen.pop())
        return whole, self.each(x)


class Down(nn.Module):
    """Two convolutions and one of stride 2, beside a 1×1 convolution of stride 2."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolutions = twice(channels, width)
        self.halve = limited(nn.Conv2d(width, width, 4, stride=2, padding=1))
        self.beside = limited(nn.Conv2d(channels, width, 1, stride=2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Half the size, and the map before it was halved."""
        seen = self.convolutions(x)
        half, beside = self.halve(seen), self.beside(x)
        # An odd side is rounded down by the one and up by the other.
        return half + beside[..., : half.shape[-2], : half.shape[-1]], seen


class Up(nn.Module):
    """Enlarged bilinearly to a map of the way down, two convolutions of both, beside a 1×1 convolution."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolutions = twice(2 * channels, width)
        self.beside = limited(nn.Conv2d(channels, width, 1))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = F.interpolate(x, size=seen.shape[-2:], mode="bilinear", align_corners=False)
        return self.convolutions(torch.cat([x, seen], dim=1)) + self.beside(x)


def twice(channels: int, width: int) -> nn.Sequential:
    """Two 3×3 convolutions, each with a leaky ReLU behind it."""
    first, second = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
    return nn.Sequential(limited(first), nn.LeakyReLU(0.2), limited(second), nn.LeakyReLU(0.2))


def limited(conv: nn.Conv2d) -> nn.Module:
    """The convolution, drawn small, with spectral norm unless it comes from at most four channels or leads to one."""
    drawn(conv)
    return spectral_norm(conv) if conv.in_channels > 4 and conv.out_channels > 1 else conv


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def drawn(layer: Layer) -> Layer:
    """The layer with weights of deviation 0.01 and no bias, as published."""
    nn.init.normal_(layer.weight, 0.0, 0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
