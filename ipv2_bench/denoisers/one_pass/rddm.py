"""RDDM (Wang et al., 2026, arXiv 2605.17188): one step, whose residuals drift towards the real ones and away from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network


class RDDM(Denoiser):
    """The residual-driven drifting model with FM's U-Net: it predicts ``r = y − x``; not iterative.

    A batch is a set of residuals, so that crops (``train.crops_per_slice``) suit it; with one image the drift is a step of
    its residual to the real one.

    Parameters
    ----------
    widths, dropout, unshuffle, zero_last, padding
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`; its time is 0.
    temperatures
        Of the kernel, one or more: 1 and 1.5 are the paper's RDDM-Fine, 0.2 and 1 RDDM-Balanced, 1 with ``l1`` 0.01 RDDM-Smooth.
    l1
        Weight of the absolute error beside the drift.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "RDDM"

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.1,
        unshuffle: int = 1,
        temperatures: Sequence[float] = (1.0, 1.5),
        l1: float = 0.0,
        zero_last: bool = False,
        padding: str = "right_below",
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if not temperatures or not all(t > 0 for t in temperatures) or l1 < 0:
            raise ValueError(f"temperatures are {list(temperatures)} and l1 is {l1}: expected positive numbers, and 0 or more")
        self.temperatures, self.l1 = tuple(temperatures), l1
        self.network = UNet(widths, False, dropout, 1.0, unshuffle, 1, zero_last, padding)
        self.divisor = self.network.divisor

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``Σ_τ ‖r − sg(r + V_τ)‖² + l1·‖r − (y − x)‖₁``, means over pixels, with the drift V_τ and no gradient through sg."""
        x, y = to_network(pair.input), to_network(pair.target)
        generated, real = self._residual(x), y - x
        loss = drifting_loss(generated, real, self.temperatures)
        return loss + self.l1 * F.l1_loss(generated, real) if self.l1 else loss

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``x + r(x)``."""
        return self.denoise(pair.input)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """``x + r(x)``, [B, 1, H, W]."""
        x = to_network(low)
        return from_network(x + self._residual(x))

    def _residual(self, x: Tensor) -> Tensor:
        return self.network(x, torch.zeros(len(x), device=x.device, dtype=x.dtype))


def drifting_loss(generated: Tensor, real: Tensor, temperatures: Sequence[float]) -> Tensor:
    """``Σ_τ ‖r − sg(r + V_τ(r))‖²``, mean over pixels, for residuals [B, 1, H, W]."""
    targets = [(generated + drift(generated, real, t)).detach() for t in temperatures]
    return torch.stack([F.mse_loss(generated, target) for target in targets]).sum()


@torch.no_grad()
def drift(generated: Tensor, real: Tensor, temperature: float) -> Tensor:
    """The field V that attracts generated residuals to real ones and repels them from generated ones, [B, 1, H, W].

    ``V_i = Σ_j k⁺_ij·K⁻_i·r⁺_j − Σ_j k⁻_ij·K⁺_i·r⁻_j`` with ``K^±_i = Σ_j k^±_ij``, where k is ``exp(−d/τ)`` over the root of the
    product of its sums over rows and columns, and d the distance of residuals of unit length, each pixel divided by its standard
    deviation over all of them, per root of their number of pixels.
    """
    own, wanted = generated.flatten(1), real.flatten(1)
    unit_own, unit_wanted = (F.normalize(r, dim=1, eps=1e-8) for r in (own, wanted))
    deviation = torch.cat([unit_own, unit_wanted, unit_own]).std(dim=0, unbiased=False).clamp_min(1e-8)
    scaled_own, scaled_wanted = (r / deviation / math.sqrt(own.shape[1]) for r in (unit_own, unit_wanted))
    kernel = (-torch.cdist(scaled_own, torch.cat([scaled_own, scaled_wanted])) / temperature).exp()
    kernel = kernel / (kernel.sum(dim=1, keepdim=True) * kernel.sum(dim=0, keepdim=True)).clamp_min(1e-12).sqrt()
    repelling, attracting = kernel[:, : len(own)], kernel[:, len(own) :]
    towards = (attracting * repelling.sum(dim=1, keepdim=True)) @ wanted
    away = (repelling * attracting.sum(dim=1, keepdim=True)) @ own
    return (towards - away).view_as(generated)
