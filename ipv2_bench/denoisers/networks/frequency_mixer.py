"""FFM's frequency mixer (arXiv 2510.07492): local and pooled branches, then space beside spectrum."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrequencyMixer(nn.Module):
    """Takes the place of a 3×3 convolution: [B, width, H, W] → the same, H and W even."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.local = nn.Sequential(
            nn.Conv2d(half, half, 1), nn.Conv2d(half, half, 3, padding=1, groups=half), nn.GELU()
        )
        self.pooled = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(half, half, 3, padding=1),
            nn.GroupNorm(math.gcd(8, half), half, eps=1e-6),
            nn.GELU(),
        )
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.spatial = nn.Conv2d(width, width, 1)
        self.spectral = SpectralBranch(width)
        self.fuse = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        h = torch.cat([self.local(a), F.interpolate(self.pooled(b), scale_factor=2.0, mode="nearest")], dim=1)
        h = h + self.depthwise(h)
        return h + self.fuse(torch.cat([self.spatial(h), self.spectral(h)], dim=1))


class SpectralBranch(nn.Module):
    """rfft2 → amplitude and phase, each through 1×1–LeakyReLU–1×1 → irfft2; in float32 whatever the precision."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.amplitude = _pointwise(width)
        self.phase = _pointwise(width)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            wide = x if x.dtype == torch.float64 else x.float()
            spectrum = torch.fft.rfft2(wide)
            amplitude = self.amplitude(spectrum.abs())
            phase = self.phase(spectrum.angle())
            # The processed amplitude may be negative, where torch.polar's gradient is wrong: cosine and sine instead.
            z = torch.complex(amplitude * phase.cos(), amplitude * phase.sin())
            return torch.fft.irfft2(hermitian(z, x.shape[-1]), s=x.shape[-2:]).to(x.dtype)


def hermitian(z: Tensor, width: int) -> Tensor:
    """Make the columns 0 and W/2 of a half spectrum [..., H, W/2+1] those of a real image.

    irfft2 leaves open what it does with the part that is not; averaging with the mirrored conjugate is what the CPU
    does, and so all devices agree.
    """
    columns = [0, width // 2] if width % 2 == 0 else [0]
    edge = z[..., columns]
    mirrored = torch.roll(edge.flip(-2), 1, dims=-2).conj()
    edge = 0.5 * (edge + mirrored)
    if width % 2 == 0:
        return torch.cat([edge[..., :1], z[..., 1:-1], edge[..., 1:]], dim=-1)
    return torch.cat([edge, z[..., 1:]], dim=-1)


def _pointwise(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 1), nn.LeakyReLU(0.1), nn.Conv2d(width, width, 1))
