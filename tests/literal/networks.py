"""Literal implementations of the networks, layer by layer as in the papers and their public code: slow and independent.

Only the names of the weights are shared with ``ipv2_bench.denoisers.networks``. Tests compare the fast networks with these,
and ``make bench-denoisers`` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]


class LiteralUNet:
    """The U-Net of FM and Cold Diffusion, and with ``frequency`` that of FFM (arXiv 2510.07492).

    Parameters
    ----------
    weights
        State of a :class:`~ipv2_bench.denoisers.networks.unet.UNet` with the same widths.
    widths, frequency, dropout, time_scale, unshuffle
        See that class; dropout is on where ``training`` is set.
    """

    def __init__(
        self,
        weights: Weights,
        widths: Sequence[int],
        frequency: bool,
        dropout: float = 0.0,
        time_scale: float = 1.0,
        unshuffle: int = 1,
    ) -> None:
        self.w, self.widths, self.frequency = weights, list(widths), frequency
        self.dropout, self.time_scale, self.unshuffle, self.training = dropout, time_scale, unshuffle, False

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Images [B, C, H, W] and times [B] → [B, C, H, W]."""
        h = F.pixel_unshuffle(x, self.unshuffle)
        first = self.widths[0]
        embedded = sines(self.time_scale * t.to(x.dtype), first, 10000.0, last=False)
        embedded = self._linear("time.3", swish(self._linear("time.1", embedded)))
        h = self._conv("enter", h, 1)
        skips = [h]
        layer = 0
        for level in range(len(self.widths)):
            h = self._block(f"down.{layer}", h, embedded)
            skips.append(h)
            layer += 1
            if level < len(self.widths) - 1:
                h = F.conv2d(h, self.w[f"down.{layer}.weight"], self.w[f"down.{layer}.bias"], stride=2, padding=1)
                skips.append(h)
                layer += 1
        h = self._block("middle.0", h, embedded)
        h = self._block("middle.1", h, embedded)
        layer = 0
        for level in reversed(range(len(self.widths))):
            for _ in range(2):
                h = self._block(f"up.{layer}", torch.cat([h, skips.pop()], dim=1), embedded)
                layer += 1
            if level > 0:
                h = self._conv(f"up.{layer}.conv", F.interpolate(h, scale_factor=2.0, mode="nearest"), 1)
                layer += 1
        h = self._conv("leave.2", swish(self._norm("leave.0", h, 8)), 1)
        return F.pixel_shuffle(h, self.unshuffle)

    def _block(self, name: str, x: Tensor, embedded: Tensor) -> Tensor:
        h = self._conv(f"{name}.first.2", swish(self._norm(f"{name}.first.0", x, 8)), 1)
        h = h + self._linear(f"{name}.time.1", swish(embedded))[:, :, None, None]
        h = swish(self._norm(f"{name}.second.0", h, 8))
        h = F.dropout(h, self.dropout, self.training)
        h = self._mixer(f"{name}.second.3", h) if self.frequency else self._conv(f"{name}.second.3", h, 1)
        if f"{name}.skip.weight" in self.w:
            x = self._conv(f"{name}.skip", x, 0)
        return x + h

    def _mixer(self, name: str, x: Tensor) -> Tensor:
        width = x.shape[1]
        half = width // 2
        a, b = x[:, :half], x[:, half:]
        a = self._conv(f"{name}.local.0", a, 0)
        a = F.gelu(self._conv(f"{name}.local.1", a, 1, groups=half))
        b = self._conv(f"{name}.pooled.1", F.avg_pool2d(b, 2), 1)
        b = F.gelu(self._norm(f"{name}.pooled.2", b, math.gcd(8, half)))
        b = F.interpolate(b, scale_factor=2.0, mode="nearest")
        h = torch.cat([a, b], dim=1)
        h = h + self._conv(f"{name}.depthwise", h, 1, groups=width)
        spatial = self._conv(f"{name}.spatial", h, 0)
        spectral = self._spectral(f"{name}.spectral", h)
        return h + self._conv(f"{name}.fuse", torch.cat([spatial, spectral], dim=1), 0)

    def _spectral(self, name: str, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        amplitude, phase = torch.abs(spectrum), torch.angle(spectrum)
        # The argument is in (−π, π]: π for a negative real number, whatever the sign of its rounded imaginary part.
        phase = torch.where(phase < -math.pi + 1e-6, math.pi, phase)
        amplitude = F.leaky_relu(self._conv(f"{name}.amplitude.0", amplitude, 0), 0.1)
        amplitude = self._conv(f"{name}.amplitude.2", amplitude, 0)
        phase = F.leaky_relu(self._conv(f"{name}.phase.0", phase, 0), 0.1)
        phase = self._conv(f"{name}.phase.2", phase, 0)
        real, imaginary = amplitude * torch.cos(phase), amplitude * torch.sin(phase)
        return torch.fft.irfft2(torch.complex(real, imaginary), s=x.shape[-2:])

    def _conv(self, name: str, x: Tensor, padding: int, groups: int = 1) -> Tensor:
        return F.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], padding=padding, groups=groups)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor, groups: int) -> Tensor:
        return F.group_norm(x, groups, self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps=1e-6)


class LiteralCoreDiffUNet:
    """CoreDiff's restoration network (arXiv 2304.01814) with the weights of the fast network."""

    def __init__(self, weights: Weights, context: int = 1) -> None:
        self.w, self.context = weights, context

    def __call__(self, x: Tensor, t: Tensor, estimate: Tensor | None, x_end: Tensor) -> Tensor:
        """Estimate of x_0, with the arguments of the fast network's ``forward``."""
        time = sines(t.to(x.dtype), 32, 10000.0, last=True)
        time = F.linear(time, self.w["time.1.weight"], self.w["time.1.bias"])
        time = F.linear(F.gelu(time), self.w["time.3.weight"], self.w["time.3.bias"])
        h1 = self._stack("enter", x, 2)
        h2 = self._stack("level1", F.avg_pool2d(h1, 2) + self._modulation(0, time, estimate, x_end), 3)
        h3 = self._stack("level2", F.avg_pool2d(h2, 2) + self._modulation(1, time, estimate, x_end), 6)
        h = self._stack("level3", h2 + self._rise("rise2", h3) + self._modulation(2, time, estimate, x_end), 3)
        h = self._stack("level4", h1 + self._rise("rise1", h) + self._modulation(3, time, estimate, x_end), 2)
        middle = x[:, self.context // 2][:, None]
        return middle + F.conv2d(h, self.w["leave.weight"], self.w["leave.bias"])

    def _modulation(self, index: int, time: Tensor, estimate: Tensor | None, x_end: Tensor) -> Tensor:
        name = f"modulation.{index}"
        tau = F.linear(F.gelu(time), self.w[f"{name}.time.1.weight"], self.w[f"{name}.time.1.bias"])
        tau = tau[:, :, None, None]
        if estimate is None:
            return tau
        h = torch.cat([estimate, x_end], dim=1)
        for i in (0, 3, 6):
            h = F.conv2d(h, self.w[f"{name}.error.{i}.weight"], self.w[f"{name}.error.{i}.bias"], padding=1)
            h = F.avg_pool2d(F.relu(h), 2)
        h = F.conv2d(h, self.w[f"{name}.error.9.weight"], self.w[f"{name}.error.9.bias"])
        gamma, beta = h.mean(dim=(2, 3), keepdim=True).chunk(2, dim=1)
        return gamma * tau + beta

    def _stack(self, name: str, x: Tensor, n: int) -> Tensor:
        for i in range(n):
            x = F.relu(F.conv2d(x, self.w[f"{name}.{2 * i}.weight"], self.w[f"{name}.{2 * i}.bias"], padding=1))
        return x

    def _rise(self, name: str, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride=2)


def swish(x: Tensor) -> Tensor:
    """``x·σ(x)``, written out as in public code."""
    return x * torch.sigmoid(x)


def sines(t: Tensor, width: int, max_period: float, last: bool) -> Tensor:
    """Sines and cosines of t [B] at geometrically spaced frequencies, [B, width]; ``last``: the last is 1/max_period."""
    half = width // 2
    t = t if t.dtype == torch.float64 else t.float()
    k = torch.arange(half, dtype=t.dtype, device=t.device)
    frequencies = torch.exp(-math.log(max_period) * k / (half - 1 if last else half))
    phase = t[:, None] * frequencies[None]
    return torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)


def literal_corediff_sampler(network: LiteralCoreDiffUNet, low: Tensor, alpha: Tensor) -> Tensor:
    """CoreDiff's sampling (its algorithm 2 with x_T re-estimated), storing all states as public samplers do.

    Parameters
    ----------
    network
        The restoration network.
    low
        uLDCT, [B, 1, H, W].
    alpha
        α of each step, [T].
    """
    x, estimate, states = low, None, [low]
    for i in reversed(range(len(alpha))):
        t = torch.full((len(low),), i, device=low.device)
        restored = network(x, t, estimate, low)
        if i == 0:
            x = restored
        else:
            x_end = (x - alpha[i] * restored) / (1 - alpha[i])
            x = (
                x
                - (alpha[i] * restored + (1 - alpha[i]) * x_end)
                + (alpha[i - 1] * restored + (1 - alpha[i - 1]) * x_end)
            )
        estimate = restored
        states.append(x)
    return states[-1].clamp(0.0, 1.0)


def literal_euler_sampler(network: LiteralUNet, x: Tensor, steps: int) -> Tensor:
    """Explicit Euler in the network's range from t = 0 to 1, storing all states."""
    states = [x]
    for i in range(steps):
        t = torch.full((len(x),), i / steps, device=x.device, dtype=x.dtype)
        states.append(states[-1] + network(states[-1], t) / steps)
    return states[-1]
