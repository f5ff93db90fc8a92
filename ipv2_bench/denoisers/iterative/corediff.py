"""CoreDiff (Gao et al., arXiv 2304.01814): mean-preserving degradation and error-modulated restoration."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import CRITERIA, IterativeDenoiser, at, chosen
from ipv2_bench.denoisers.networks.corediff_unet import CoreDiffUNet
from ipv2_bench.physics.seeding import on_host


class CoreDiff(IterativeDenoiser):
    """CoreDiff on single slices, the default for pairs without an order.

    Parameters
    ----------
    width, modulator, rise
        See :class:`~ipv2_bench.denoisers.networks.corediff_unet.CoreDiffUNet`.
    context
        1, or 3: the input is then x_t between the neighbouring slices of the uLDCT.
    criterion
        ``l2``, as published, or ``l1``.
    alpha
        ``published``, the public code's schedule, which ends at 0 after T − 1 spacings and is at most 0.999; or ``linear``,
        the paper's ``1 − t/T`` with t from 1 to T.
    steps
        T, also the number of sampling steps.
    modulate_stage_one
        Feed the target to the modulator in stage 1, which is the default of the public code; the published training
        scripts do not.
    lr, ema_decay, ema_every, ema_start
        The paper's and its code's: 2e-4; 0.995 every 10 steps from step 2000.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "CoreDiff"

    def __init__(
        self,
        width: int = 64,
        modulator: int = 32,
        steps: int = 10,
        context: int = 1,
        criterion: str = "l2",
        alpha: str = "published",
        modulate_stage_one: bool = False,
        rise: str = "transposed",
        lr: float = 2e-4,
        ema_decay: float = 0.995,
        ema_every: int = 10,
        ema_start: int = 2000,
        **options: object,
    ) -> None:
        super().__init__(lr=lr, ema_decay=ema_decay, ema_every=ema_every, ema_start=ema_start, **options)  # type: ignore[arg-type]
        if steps < 2:
            raise ValueError(f"steps is {steps}: expected at least 2")
        if context not in (1, 3):
            raise ValueError(f"context is {context}: expected 1 slice or 3")
        self.error, self.alphas = chosen("criterion", criterion, CRITERIA), chosen("alpha", alpha, ALPHAS)
        self.network, self.context = CoreDiffUNet(width, context, modulator, rise), context
        self.divisor, self.steps, self.network_calls = self.network.divisor, steps, steps
        self.modulate_stage_one = modulate_stage_one
        self._alpha: Tensor | None = None

    @property
    def alpha(self) -> Tensor:
        """α of each step, [T]. Not a buffer: averaging the weights would average it too, with a rounding error."""
        dtype = next((p.dtype for p in self.parameters()), torch.float32)
        if self._alpha is None or self._alpha.device != self.device or self._alpha.dtype != dtype:
            self._alpha = self.alphas(self.steps, dtype).to(self.device)
        return self._alpha

    def degrade(self, x_0: Tensor, x_end: Tensor, t: Tensor) -> Tensor:
        """Mean-preserving degradation ``x_t = α_t·x_0 + (1 − α_t)·x_T`` (eq. 5), t [B] in 0..T−1."""
        alpha = at(self.alpha[t], x_0)
        return alpha * x_0 + (1 - alpha) * x_end

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean of both stages' squared errors (eq. 11); one t for the batch, as in the public code."""
        low, x_end, x_0 = pair.input, self._middle(pair.input), pair.target
        first, t, step = self._stage_one(pair, generator)
        if step == 0:
            return self.error(first, x_0) + self._unused_gradient()
        second = self.network(self._between(low, self.degrade(first, x_end, t - 1)), t - 1, first, x_end)
        return 0.5 * self.error(first, x_0) + 0.5 * self.error(second, x_0)

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """The first stage's restored slice."""
        return self._stage_one(pair, generator)[0] + self._unused_gradient()

    def _stage_one(self, pair: TrainingPair, generator: torch.Generator) -> tuple[Tensor, Tensor, int]:
        """The slice restored at a random step, that step for each image [B], and as a number."""
        low, x_end, x_0 = pair.input, self._middle(pair.input), pair.target
        step = int(torch.randint(0, self.steps, (1,), generator=on_host(generator)))
        t = torch.full((len(x_0),), step, device=x_0.device)
        known = x_0 if self.modulate_stage_one and step < self.steps - 1 else None
        return self.network(self._between(low, self.degrade(x_0, x_end, t)), t, known, x_end), t, step

    def _unused_gradient(self) -> Tensor | float:
        """Zero, with a gradient for the modulation: DDP expects one of every weight, and at t = 0 modulation is not used."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return 0.0
        return 0.0 * torch.stack([p.sum() for p in self.network.modulation.parameters()]).sum()

    def _middle(self, slices: Tensor) -> Tensor:
        return slices[:, self.context // 2 : self.context // 2 + 1]

    def _between(self, slices: Tensor, middle: Tensor) -> Tensor:
        """``slices`` [B, context, H, W] with ``middle`` [B, 1, H, W] in place of the middle one."""
        return middle if self.context == 1 else torch.cat([slices[:, :1], middle, slices[:, 2:]], dim=1)

    def states(self, low: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """Sampling (algorithm 2) that re-estimates x_T from x_t and the restored image; the first step is not modulated."""
        x_end, estimate = self._middle(low), None
        x = x_end
        for i in range(self.steps - 1, -1, -1):
            t = torch.full((len(x),), i, device=x.device)
            restored = self.network(self._between(low, x), t, estimate, x_end)
            if i == 0:
                # x_0 = x_t − D(x̂_0, x̂_T, 0) + x̂_0, and the first two cancel by the definition of x̂_T.
                yield restored.clamp(0.0, 1.0)
                return
            alpha = at(self.alpha[t], x)
            x_end_hat = (x - alpha * restored) / (1 - alpha)
            x = self.degrade(restored, x_end_hat, t - 1)
            yield x
            estimate = restored


def linear_schedule(steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """α of the paper, ``1 − t/T`` for t = 1 … T: the last is 0, and the restored slice is x_0 itself."""
    return 1.0 - torch.arange(1, steps + 1, dtype=dtype) / steps


def alpha_schedule(steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """α of the public code: ``1 − linspace(0, T, T)/T``, at most 0.999, so the spacing is 1/(T−1) and the last is 0."""
    return (1.0 - torch.linspace(0.0, steps, steps, dtype=dtype) / steps).clamp(0.0, 0.999)


ALPHAS = {"published": alpha_schedule, "linear": linear_schedule}
