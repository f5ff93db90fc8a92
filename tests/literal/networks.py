"""FFM's published network as the plainest torch modules, layer by layer, and the same U-Net with plain convolutions.

It was written from facts, without a look at this project's own network. The names of the layers are those of the authors' code
(``tests/parity/fixtures/ffm_names.json``), so that weights that are set by name fit. Nothing is fused or rewritten for speed.
``tests/parity/test_literal.py`` holds it to the numbers of the authors' code.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8
EPS = 1e-6  # of every group normalisation of the U-Net, the mixer's included


def sinusoidal_embedding(t: Tensor, channels: int) -> Tensor:
    """Sines, then cosines, of ``t`` [B] times the frequencies 10000^(−i/(half − 1)): [B, channels]."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=t.dtype, device=t.device) / (half - 1))
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


# Frequency mixer of FFM.


class HighMixer(nn.Module):
    """Local branch: 1×1 and depthwise 3×3, both without bias, then GELU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.proj1 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj1(self.conv1(x)))


class LowMixer(nn.Module):
    """Pooled branch: average pool 2, 3×3 without bias, group normalisation, GELU, nearest ×2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        # Fewer groups only where a branch is narrower than the published ones.
        self.norm = nn.GroupNorm(math.gcd(GROUPS, channels), channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        low = F.gelu(self.norm(self.conv(F.avg_pool2d(x, 2))))
        return F.interpolate(low, scale_factor=2, mode="nearest")


def phase_of_half_spectrum(spectrum: Tensor) -> Tensor:
    """Phase of a real image's half spectrum [B, C, H, W/2 + 1], H and W even, in (−π, π].

    Where such a spectrum is real (frequency 0 or 1/2 in both directions), the phase is 0 or π; rounding would make it −π at some
    sizes, by chance. At those of the fixtures it is exactly 0 or π.
    """
    height, half = spectrum.shape[-2:]
    real = torch.zeros(height, half, dtype=torch.bool, device=spectrum.device)
    real[:: height // 2, :: half - 1] = True
    phase = spectrum.angle()
    return torch.where(real, phase.abs(), phase)


class FrequencyBlock(nn.Module):
    """Fourier branch: amplitude and phase of the half spectrum, each through 1×1, LeakyReLU(0.1), 1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.processmag = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.LeakyReLU(0.1), nn.Conv2d(channels, channels, 1)
        )
        self.processpha = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.LeakyReLU(0.1), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        amplitude = self.processmag(spectrum.abs())
        phase = self.processpha(phase_of_half_spectrum(spectrum))
        spectrum = torch.complex(amplitude * phase.cos(), amplitude * phase.sin())
        return torch.fft.irfft2(spectrum, s=x.shape[-2:])


class Mixer(nn.Module):
    """Frequency mixer: first half of the channels local, second half pooled; fused; a spatial 1×1 beside the Fourier branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.high_mixer = HighMixer(channels // 2)
        self.low_mixer = LowMixer(channels // 2)
        self.conv_fuse = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.proj = nn.Conv2d(channels, channels, 1)
        self.freblock = FrequencyBlock(channels)
        self.finalproj = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        high, low = x.chunk(2, dim=1)
        y = torch.cat([self.high_mixer(high), self.low_mixer(low)], dim=1)
        y = y + self.conv_fuse(y)
        return y + self.finalproj(torch.cat([self.proj(y), self.freblock(y)], dim=1))


# U-Net of FFM (with mixers) and of FM and Cold Diffusion (with plain convolutions).


class TimeEmbedding(nn.Module):
    """Sinusoidal embedding of width ``channels`` through two dense layers of four times that width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.dense = nn.ModuleList([nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, 4 * channels)])

    def forward(self, t: Tensor) -> Tensor:
        embedding = sinusoidal_embedding(t.to(self.dense[0].weight.dtype), self.channels)
        return self.dense[1](F.silu(self.dense[0](embedding)))


class ResidualBlock(nn.Module):
    """Normalise, SiLU, 3×3, add the projected time, normalise, SiLU, dropout, second convolution, add the input."""

    def __init__(self, in_channels: int, out_channels: int, embedding: int, mixer: bool, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels, eps=EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.temb_proj = nn.Linear(embedding, out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels, eps=EPS)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = Mixer(out_channels) if mixer else nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.temb_proj(F.silu(embedding))[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return h + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class Downsample(nn.Module):
    """Zeros around (one column right and one row below, as published), then 3×3 with stride 2 and no other padding."""

    def __init__(self, channels: int, around: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.around = around
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.around))


class Upsample(nn.Module):
    """Nearest ×2, then 3×3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class LiteralUNet(nn.Module):
    """Time-conditional U-Net of one block down and two up per level and two in the middle; t [B] is used as it is given.

    ``mixer`` makes the second convolution of every block a frequency mixer (FFM); without, it is a 3×3 convolution (FM and Cold
    Diffusion).
    ``around`` is the number of zero columns left and right and of zero rows above and below of each down-sampling convolution.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: tuple[int, ...] = (64, 128, 256, 512),
        mixer: bool = False,
        dropout: float = 0.1,
        around: tuple[int, int, int, int] = (0, 1, 0, 1),
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        embedding, last = 4 * widths[0], len(widths) - 1

        def block(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(in_channels, out_channels, embedding, mixer, dropout)

        self.temb = TimeEmbedding(widths[0])
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, current = [widths[0]], widths[0]
        for level, width in enumerate(widths):
            stage = nn.ModuleDict({"block": nn.ModuleList([block(current, width)])})
            skips.append(width)
            if level != last:
                stage["downsample"] = Downsample(width, around)
                skips.append(width)
            self.down.append(stage)
            current = width
        self.mid = nn.ModuleDict({"block_1": block(current, current), "block_2": block(current, current)})
        for level in range(last, -1, -1):
            width = widths[level]
            first = block(current + skips.pop(), width)
            stage = nn.ModuleDict({"block": nn.ModuleList([first, block(width + skips.pop(), width)])})
            if level != 0:
                stage["upsample"] = Upsample(width)
            self.up.insert(0, stage)  # up.L is the stage of level L, as down.L
            current = width
        self.norm_out = nn.GroupNorm(GROUPS, widths[0], eps=EPS)
        self.conv_out = nn.Conv2d(widths[0], out_channels or channels, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        embedding = self.temb(t)
        h = self.conv_in(x)
        skips = [h]
        for stage in self.down:
            h = stage["block"][0](h, embedding)
            skips.append(h)
            if "downsample" in stage:
                h = stage["downsample"](h)
                skips.append(h)
        h = self.mid["block_2"](self.mid["block_1"](h, embedding), embedding)
        for stage in reversed(self.up):
            for block in stage["block"]:
                h = block(torch.cat([h, skips.pop()], dim=1), embedding)
            if "upsample" in stage:
                h = stage["upsample"](h)
        return self.conv_out(F.silu(self.norm_out(h)))


class LiteralFoldedUNet(LiteralUNet):
    """The U-Net on blocks of pixels as channels, then at full size: bilinear, a binomial filter, and two 3×3 (ours)."""

    def __init__(
        self, channels: int, unshuffle: int, widths: tuple[int, ...], mixer: bool, around: tuple[int, int, int, int]
    ) -> None:
        super().__init__(channels * unshuffle**2, widths, mixer, around=around, out_channels=8)
        self.unshuffle = unshuffle
        self.refine = nn.ModuleDict(
            {"first": nn.Conv2d(8 + channels, 8, 3, padding=1), "last": nn.Conv2d(8, channels, 3, padding=1)}
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        h = super().forward(F.pixel_unshuffle(x, self.unshuffle), t)
        h = F.interpolate(h, size=(height, width), mode="bilinear", align_corners=False)
        binomial = torch.tensor([1.0, 2.0, 1.0], dtype=h.dtype) / 4
        kernel = (binomial[:, None] * binomial).expand(8, 1, 3, 3)
        h = F.conv2d(F.pad(h, (1, 1, 1, 1), mode="replicate"), kernel, groups=8)
        return self.refine["last"](F.silu(self.refine["first"](torch.cat([h, x], dim=1))))


class LiteralFFM(LiteralUNet):
    """Network of FFM as published: 39,512,099 parameters with three channels."""

    def __init__(self) -> None:
        super().__init__(mixer=True)
