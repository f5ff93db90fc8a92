"""CoreDiff (Gao et al., arXiv 2304.01814): mean-preserving degradation and error-modulated restoration."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser, at
from ipv2_bench.denoisers.networks.corediff_unet import CoreDiffUNet


class CoreDiff(Denoiser):
    """CoreDiff on single slices, the default for pairs without an order.

    Parameters
    ----------
    width, modulator
        See :class:`~ipv2_bench.denoisers.networks.corediff_unet.CoreDiffUNet`.
    steps
        T, also the number of sampling steps.
    modulate_stage_one
        Feed the target to the modulator in stage 1, as the public code does unless told otherwise; the published
        training scripts do not.
    lr, ema_decay, ema_every, ema_start
        The paper's and its code's: 2e-4; 0.995 every 10 steps from step 2000.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    title = "CoreDiff"

    def __init__(
        self,
        width: int = 64,
        modulator: int = 32,
        steps: int = 10,
        modulate_stage_one: bool = False,
        lr: float = 2e-4,
        ema_decay: float = 0.995,
        ema_every: int = 10,
        ema_start: int = 2000,
        **options: object,
    ) -> None:
        super().__init__(lr=lr, ema_decay=ema_decay, ema_every=ema_every, ema_start=ema_start, **options)  # type: ignore[arg-type]
        if steps < 2:
            raise ValueError(f"steps is {steps}: expected at least 2")
        self.network = CoreDiffUNet(width, modulator=modulator)
        self.divisor, self.steps, self.network_calls = self.network.divisor, steps, steps
        self.modulate_stage_one = modulate_stage_one
        self._alpha: Tensor | None = None

    @property
    def alpha(self) -> Tensor:
        """α of each step, [T]. No buffer: averaging the weights would average it too, and round it a little each time."""
        if self._alpha is None or self._alpha.device != self.device:
            self._alpha = alpha_schedule(self.steps).to(self.device)
        return self._alpha

    def degrade(self, x_0: Tensor, x_end: Tensor, t: Tensor) -> Tensor:
        """Mean-preserving degradation ``x_t = α_t·x_0 + (1 − α_t)·x_T`` (eq. 5), t [B] in 0..T−1."""
        alpha = at(self.alpha[t], x_0)
        return alpha * x_0 + (1 - alpha) * x_end

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean of both stages' squared errors (eq. 11); one t for the batch, as in the public code."""
        x_end, x_0 = pair.input, pair.target
        t = torch.randint(0, self.steps, (1,), generator=generator, device=x_0.device).expand(len(x_0))
        known = x_0 if self.modulate_stage_one and int(t[0]) < self.steps - 1 else None
        first = self.network(self.degrade(x_0, x_end, t), t, known, x_end)
        if int(t[0]) == 0:
            return F.mse_loss(first, x_0)
        again = self.network(self.degrade(first, x_end, t - 1), t - 1, first, x_end)
        return 0.5 * F.mse_loss(first, x_0) + 0.5 * F.mse_loss(again, x_0)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Sampling that re-estimates x_T from x_t and the restored image at each step; the first is not modulated."""
        x, x_end, estimate = low, low, None
        for i in range(self.steps - 1, -1, -1):
            t = torch.full((len(x),), i, device=x.device)
            restored = self.network(x, t, estimate, x_end)
            if i == 0:
                # x_0 = x_t − D(x̂_0, x̂_T, 0) + x̂_0, and the first two cancel by the definition of x̂_T.
                return restored.clamp(0.0, 1.0)
            alpha = at(self.alpha[t], x)
            x_end_hat = (x - alpha * restored) / (1 - alpha)
            x = self.degrade(restored, x_end_hat, t - 1)
            estimate = restored
        return x


def alpha_schedule(steps: int) -> Tensor:
    """α of the public code: ``1 − linspace(0, T, T)/T``, at most 0.999, so the spacing is 1/(T−1) and the last is 0."""
    return (1.0 - torch.linspace(0.0, steps, steps) / steps).clamp(0.0, 0.999)
