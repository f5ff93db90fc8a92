"""CoreDiff's restoration network with its error-modulated module (Gao et al., arXiv 2304.01814)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.denoisers.networks.embedding import SinusoidalEmbedding, TimeEmbedding
from ipv2_bench.denoisers.networks.fused import fast_order


def _transposed(in_channels: int, width: int) -> nn.Module:
    return nn.ConvTranspose2d(in_channels, width, 2, stride=2)


def _bilinear(in_channels: int, width: int) -> nn.Module:
    enlarged = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(enlarged, nn.Conv2d(in_channels, width, 3, padding=1))


RISES = {"transposed": _transposed, "bilinear": _bilinear}
"""Ways to enlarge maps to twice their size, from channels of the input and of the output."""


class CoreDiffUNet(nn.Module):
    """Three levels of plain convolutions; time, modulated by the error of the last estimate, is added at four layers.

    Parameters
    ----------
    width
        Channels of the first level; the paper's network has 64.
    context
        Slices in the input, 1 or 3; the middle one is restored.
    modulator
        First width of the error-modulated module; the paper's is 32.
    rise
        How maps are enlarged: by ``transposed`` convolutions as in the paper, which leave a faint checkerboard, or ``bilinear``,
        which passes nothing at the Nyquist frequency, and a 3×3 convolution.
    """

    divisor = 8

    def __init__(self, width: int = 64, context: int = 1, modulator: int = 32, rise: str = "transposed") -> None:
        super().__init__()
        if rise not in RISES:
            raise ValueError(f"rise is '{rise}': use one of {', '.join(RISES)}")
        if width < 1 or modulator < 1:
            raise ValueError(f"width is {width} and modulator {modulator}: expected at least 1")
        embedded = 32
        self.context = context
        self.time = TimeEmbedding(
            SinusoidalEmbedding(embedded),
            nn.Linear(embedded, 4 * embedded),
            nn.GELU(),
            nn.Linear(4 * embedded, embedded),
        )
        w1, w2, w4 = width, 2 * width, 4 * width
        self.enter = _convolutions(context, w1, 2)
        self.level1 = _convolutions(w1, w2, 3)
        self.level2 = _convolutions(w2, w4, 6)
        self.rise2 = RISES[rise](w4, w2)
        self.level3 = _convolutions(w2, w2, 3)
        self.rise1 = RISES[rise](w2, w1)
        self.level4 = _convolutions(w1, w1, 2)
        self.leave = nn.Conv2d(w1, 1, 1)
        self.modulation = nn.ModuleList([Modulation(embedded, w, modulator) for w in (w1, w2, w2, w1)])

    def forward(self, x: Tensor, t: Tensor, estimate: Tensor | None, x_end: Tensor) -> Tensor:
        """Estimate x_0 from x_t.

        Parameters
        ----------
        x
            x_t with its neighbours, [B, context, H, W].
        t
            Steps, [B].
        estimate
            The last estimate of x_0, [B, 1, H, W], input of the modulation; ``None`` turns modulation off.
        x_end
            x_T, [B, 1, H, W].

        Returns
        -------
        Tensor
            The new estimate of x_0, [B, 1, H, W].
        """
        # Without gradient a CPU is faster with one modulation at a time.
        sampling = not torch.is_grad_enabled() and x.device.type == "cpu" and not torch.compiler.is_compiling()
        x = fast_order(x)
        middle = x[:, self.context // 2 : self.context // 2 + 1]
        error = None if estimate is None else fast_order(torch.cat([estimate, x_end], dim=1))
        a, b, c, d = self._modulated(self.time(t), error, together=not sampling)
        h1 = self.enter(x)
        h2 = self.level1(F.avg_pool2d(h1, 2).add_(a))
        h3 = self.level2(F.avg_pool2d(h2, 2).add_(b))
        h = self.level3(self.rise2(h3).add_(c).add_(h2))
        h = self.level4(self.rise1(h).add_(d).add_(h1))
        return middle + self.leave(h)

    def _modulated(self, time: Tensor, error: Tensor | None, together: bool) -> list[Tensor]:
        """``γ·τ + β`` of each modulation; ``together`` runs their convolutions as grouped ones."""
        modulations = [m for m in self.modulation if isinstance(m, Modulation)]
        taus = [m.time(time)[:, :, None, None] for m in modulations]
        if error is None:
            return taus
        stacks = [modulations] if together else [[m] for m in modulations]
        features = [feature for stack in stacks for feature in _features(stack, error)]
        modulated = []
        for m, tau, feature in zip(modulations, taus, features, strict=True):
            gamma, beta = m.error[-1](feature).chunk(2, dim=1)
            modulated.append(gamma * tau + beta)
        return modulated


class Modulation(nn.Module):
    """``γ·τ + β``: the time embedding τ, scaled and shifted by features of the last estimate and x_T (eq. 9)."""

    convolutions = (0, 3, 6)
    """Indices of the 3×3 convolutions in :attr:`error`."""

    def __init__(self, embedded: int, width: int, first: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.GELU(), nn.Linear(embedded, width))
        layers: list[nn.Module] = []
        for in_channels, out_channels in ((2, first), (first, 2 * first), (2 * first, 4 * first)):
            layers += [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
        self.error = nn.Sequential(*layers, nn.Conv2d(4 * first, 2 * width, 1))


def _features(modulations: list[Modulation], error: Tensor) -> tuple[Tensor, ...]:
    """Mean features of the error for each modulation, [B, 4·first, 1, 1]; their convolutions run as grouped ones."""
    h = error
    for i in Modulation.convolutions:
        layers = [m.error[i] for m in modulations]
        weight, bias = (torch.cat([getattr(layer, k) for layer in layers]) for k in ("weight", "bias"))
        h = F.relu(F.conv2d(h, weight, bias, padding=1, groups=1 if h is error else len(modulations)), inplace=True)
        if i != Modulation.convolutions[-1]:
            h = F.avg_pool2d(h, 2)
    # Linear operations commute: the last pooling is part of the mean, and the 1×1 convolution may follow the mean.
    return h.mean(dim=(2, 3), keepdim=True).chunk(len(modulations), dim=1)


def _convolutions(in_channels: int, width: int, n: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(n):
        layers += [nn.Conv2d(in_channels if i == 0 else width, width, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
