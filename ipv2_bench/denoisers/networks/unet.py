"""The time-conditional U-Net of FM, FFM and Cold Diffusion (arXiv 2510.07492), at any width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.denoisers.networks.embedding import SinusoidalEmbedding, TimeEmbedding
from ipv2_bench.denoisers.networks.frequency_mixer import FrequencyMixer
from ipv2_bench.denoisers.networks.fused import fast_order, norm_act, upsample_conv


class UNet(nn.Module):
    """One residual block per level on the way down, two on the way up, two in the middle; no attention.

    Parameters
    ----------
    widths
        Channels of each level; the paper's are 64, 128, 256, 512.
    frequency
        Use a frequency mixer for the second convolution of each block (FFM).
    dropout
        Dropout rate of each block.
    time_scale
        Factor of t before the sinusoidal embedding.
    unshuffle
        Side of the blocks of pixels that are first folded into channels, which divides the cost by its square; 1 in the paper.
        Above 1 the last map is enlarged bilinearly and refined at full resolution, see :class:`Refine`.
    channels
        Channels of the input and of the output.
    zero_last
        Start with a last layer of zeros, so that the untrained network returns zero; the public code does not.
    padding
        Of the down-sampling convolutions: ``right_below`` pads one column at the right and one row below, as the public code;
        ``symmetric`` pads one on every side.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        frequency: bool = False,
        dropout: float = 0.1,
        time_scale: float = 1.0,
        unshuffle: int = 1,
        channels: int = 1,
        zero_last: bool = False,
        padding: str = "right_below",
    ) -> None:
        super().__init__()
        widths = list(widths)
        if padding not in PADDINGS:
            raise ValueError(f"padding '{padding}' is unknown: use one of {', '.join(PADDINGS)}")
        if channels < 1 or unshuffle < 1:
            raise ValueError(f"channels is {channels} and unshuffle {unshuffle}: expected at least 1")
        if not widths or any(w < 8 or w % 8 for w in widths):
            raise ValueError(f"widths {widths} must be multiples of 8, for the group norm of 8 groups")
        if not 0 <= dropout < 1 or not 0 < time_scale < float("inf"):
            raise ValueError(
                f"dropout is {dropout} and time_scale {time_scale}: expected a share below 1, and a positive number"
            )
        first, embedded = widths[0], 4 * widths[0]
        self.unshuffle, self.divisor = unshuffle, unshuffle * 2 ** (len(widths) - 1)
        folded = channels * unshuffle**2
        self.time = TimeEmbedding(
            SinusoidalEmbedding(first, time_scale), nn.Linear(first, embedded), nn.SiLU(), nn.Linear(embedded, embedded)
        )

        def block(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(in_channels, out_channels, embedded, dropout, frequency)

        self.enter = nn.Conv2d(folded, first, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [first], first
        for level, w in enumerate(widths):
            self.down.append(block(width, w))
            skips.append(w)
            width = w
            if level < len(widths) - 1:
                self.down.append(Downsample(w, padding))
                skips.append(w)
        self.middle = nn.ModuleList([block(width, width), block(width, width)])
        for level, w in reversed(list(enumerate(widths))):
            for _ in range(2):
                self.up.append(block(width + skips.pop(), w))
                width = w
            if level > 0:
                self.up.append(Upsample(w))
        last = nn.Conv2d(width, channels if unshuffle == 1 else REFINED, 3, padding=1)
        self.refine = None if unshuffle == 1 else Refine(channels, unshuffle)
        if zero_last:
            zeroed(last if self.refine is None else self.refine.last)
        self.leave = nn.Sequential(norm(width), nn.SiLU(), last)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Output of the network, images [B, channels, H, W] and times [B] → [B, channels, H, W]."""
        x = fast_order(x)
        h = self.enter(F.pixel_unshuffle(x, self.unshuffle) if self.unshuffle > 1 else x)
        t = self.time(t)
        skips = [h]
        for layer in self.down:
            h = layer(h, t) if isinstance(layer, ResidualBlock) else layer(h)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, t)
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], 1), t) if isinstance(layer, ResidualBlock) else layer(h)
        h = self.leave[2](norm_act(h, self.leave[0]))
        return h if self.refine is None else self.refine(h, x)


REFINED = 8
"""Channels of the refinement at full resolution."""


class Refine(nn.Module):
    """From a folded map to full resolution: enlarged bilinearly and smoothed, then beside the input itself two 3×3 convolutions.

    A pixel shuffle gives each pixel of a block weights of its own, which shows as a checkerboard at the Nyquist frequency; here
    all pixels have the same weights, and the binomial filter behind the enlargement passes nothing at that frequency.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.first = nn.Conv2d(REFINED + channels, REFINED, 3, padding=1)
        self.last = nn.Conv2d(REFINED, channels, 3, padding=1)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """Map [B, 8, H/f, W/f] and input [B, channels, H, W] → [B, channels, H, W]."""
        fine = F.interpolate(h, scale_factor=float(self.factor), mode="bilinear", align_corners=False)
        for _ in range(2):  # (1, 2, 1)/4 in both directions
            fine = F.avg_pool2d(fine if _ else F.pad(fine, (1, 1, 1, 1), mode="replicate"), 2, stride=1)
        return self.last(F.silu(self.first(torch.cat([fine, x], 1))))


class ResidualBlock(nn.Module):
    """Norm–SiLU–convolution, plus time, norm–SiLU–dropout–convolution or frequency mixer, plus the input."""

    def __init__(self, in_channels: int, out_channels: int, embedded: int, dropout: float, frequency: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(norm(in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(embedded, out_channels))
        mix = FrequencyMixer(out_channels) if frequency else nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.second = nn.Sequential(norm(out_channels), nn.SiLU(), nn.Dropout(dropout), mix)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = self.first[2](norm_act(x, self.first[0])) + self.time(t)[:, :, None, None]
        _, _, dropout, mix = self.second
        return mix(dropout(norm_act(h, self.second[0]))) + self.skip(x)


PADDINGS = {"right_below": (0, 1, 0, 1), "symmetric": (1, 1, 1, 1)}
"""Columns at the left and right, and rows above and below, that a down-sampling convolution adds."""


class Downsample(nn.Conv2d):
    """3×3 convolution of stride 2 behind a padding with zeros; even H and W are halved."""

    def __init__(self, width: int, padding: str) -> None:
        symmetric = padding == "symmetric"
        super().__init__(width, width, 3, stride=2, padding=int(symmetric))
        self.outside = None if symmetric else PADDINGS[padding]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.outside is None else F.pad(x, self.outside))


class Upsample(nn.Module):
    """Nearest ×2 and a 3×3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return upsample_conv(x, self.conv.weight, self.conv.bias)


def norm(width: int) -> nn.GroupNorm:
    """Group norm of the paper: 8 groups."""
    return nn.GroupNorm(8, width, eps=1e-6)


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """``conv`` with weights and bias set to zero: a last layer that starts with the output zero."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
