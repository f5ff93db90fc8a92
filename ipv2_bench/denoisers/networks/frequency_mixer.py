"""FFM's frequency mixer (arXiv 2510.07492): local and pooled branches, then a spatial and a spectral branch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.denoisers.networks.fused import norm_act
from ipv2_bench.denoisers.networks.spectrum import amplitude_and_phase, from_amplitude_and_phase


class FrequencyMixer(nn.Module):
    """Replacement of a 3×3 convolution: [B, width, H, W] → the same shape, H and W even.

    The parameters are the paper's layers; :meth:`forward` merges layers with no non-linearity in between.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.local = nn.Sequential(
            nn.Conv2d(half, half, 1, bias=False), nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False), nn.GELU()
        )
        self.pooled = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            nn.GroupNorm(math.gcd(8, half), half, eps=1e-6),
            nn.GELU(),
        )
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.spatial = nn.Conv2d(width, width, 1)
        self.spectral = SpectralBranch(width)
        self.fuse = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``h = [local(a), up(pooled(b))]``, ``h += depthwise(h)``, ``h + fuse([spatial(h), spectral(h)])``."""
        a, b = x.chunk(2, dim=1)
        pool, conv, norm, _ = self.pooled
        coarse = norm_act(conv(pool(b)), norm, "gelu")
        h = torch.cat([self.local(a), F.interpolate(coarse, scale_factor=2.0, mode="nearest")], dim=1)
        # Depthwise plus residual: the middle of each kernel is increased by one.
        middle = F.pad(self.depthwise.weight.new_ones(1, 1, 1, 1), (1, 1, 1, 1))
        h = F.conv2d(h, self.depthwise.weight + middle, padding=1, groups=h.shape[1])
        # fuse([spatial(h), s]) + h = (F₁·S + 1)·h + F₂·s + (F₁·b + f): two products instead of three, no concatenation.
        spatial, fuse = self.spatial.weight[:, :, 0, 0], self.fuse.weight[:, :, 0, 0]
        assert self.spatial.bias is not None and self.fuse.bias is not None
        with torch.autocast(x.device.type, enabled=False):
            first, second = fuse.chunk(2, dim=1)
            both = first @ spatial + torch.eye(len(first), device=first.device, dtype=first.dtype)
            bias = self.fuse.bias + first @ self.spatial.bias
        out = F.conv2d(h, both[:, :, None, None], bias)
        return out + F.conv2d(self.spectral(h), second[:, :, None, None])


class SpectralBranch(nn.Module):
    """rfft2 → amplitude and phase, each through 1×1–LeakyReLU–1×1 → irfft2; in float32 at any precision of the rest."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.amplitude = _pointwise(width)
        self.phase = _pointwise(width)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            amplitude, phase = amplitude_and_phase(x if x.dtype == torch.float64 else x.float())
            image = from_amplitude_and_phase(self.amplitude(amplitude), self.phase(phase), x.shape[-1])
            return image.to(x.dtype)


def _pointwise(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 1), nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(width, width, 1))
