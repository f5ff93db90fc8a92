"""Cold Diffusion (Bansal et al., arXiv 2208.09392) from uLDCT to NDCT."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import CRITERIA, IterativeDenoiser, at, chosen, grey, repeated
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network


class ColdDiffusion(IterativeDenoiser):
    """A U-Net restores the NDCT from a deterministic blend of it with the training input.

    Parameters
    ----------
    widths, dropout, unshuffle, zero_last, padding
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`.
    steps
        T, also the number of sampling steps; 50 in the IPv2 paper.
    degradation
        Weights of the two images at each step: ``linear``, which adds up to 1, or ``cosine``, √ᾱ and √(1−ᾱ) of the public
        two-image variant (demixing).
    end
        The degraded image of the sampler: ``fixed``, the uLDCT itself, or ``estimated`` anew at each step from x_t and x̂_0, the
        default of the public two-image variant.
    time_scale
        Factor of t, which runs from 0 to T − 1, in the embedding.
    criterion
        ``l1``, as published, or ``l2``.
    channels
        1, or 3 equal ones as in public code that reads grey PNG as RGB; the output is the mean of the three.
    residual
        Let the network predict x̂_0 − x_t, an option of the public code that short trainings need.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`. Published: ``lr`` 2e-5, ``ema_decay`` 0.995 every 10 steps from step
        2000 on.
    """

    version = 2
    title = "Cold Diffusion"

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.1,
        unshuffle: int = 1,
        steps: int = 50,
        degradation: str = "linear",
        end: str = "fixed",
        time_scale: float = 1.0,
        residual: bool = False,
        criterion: str = "l1",
        channels: int = 1,
        zero_last: bool = False,
        padding: str = "right_below",
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if steps < 1:
            raise ValueError(f"steps is {steps}: expected at least 1")
        if end not in ENDS:
            raise ValueError(f"end '{end}' is unknown: use one of {', '.join(ENDS)}")
        self.error, self.channels, self.end = chosen("criterion", criterion, CRITERIA), channels, end
        self.weights = chosen("degradation", degradation, WEIGHTS)(steps)
        self._moved = self.weights
        self.network = UNet(widths, False, dropout, time_scale, unshuffle, channels, zero_last, padding)
        self.divisor, self.steps, self.network_calls = self.network.divisor, steps, steps
        self.residual = residual

    def restored(self, x: Tensor, t: Tensor) -> Tensor:
        """``R(x_t, t)``, the estimate of x_0, for steps t [B] in 0..T−1."""
        out = grey(self.network(repeated(x, self.channels), t))
        return x + out if self.residual else out

    def degrade(self, x_0: Tensor, x_end: Tensor, t: Tensor) -> Tensor:
        """``D(x_0, t) = a_t·x_0 + b_t·x_T`` with steps t [B] in 0..T−1."""
        clean, degraded = (at(w[t], x_0) for w in self._weights_on(x_0.device))
        return clean * x_0 + degraded * x_end

    def _weights_on(self, device: torch.device) -> Weights:
        """:attr:`weights` on a device, taken there once. Not buffers: averaging the weights would average them too."""
        if self._moved[0].device != device:
            clean, degraded = self.weights
            self._moved = (clean.to(device), degraded.to(device))
        return self._moved

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``E‖R(D(x_0, t), t) − x_0‖₁`` (eq. 1)."""
        x_end, x_0 = to_network(pair.input), to_network(pair.target)
        return self.error(self._restored_at_random(x_0, x_end, generator), x_0)

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``R(D(x_0, t), t)`` at a random t for each image."""
        return from_network(self._restored_at_random(to_network(pair.target), to_network(pair.input), generator))

    def _restored_at_random(self, x_0: Tensor, x_end: Tensor, generator: torch.Generator) -> Tensor:
        t = torch.randint(0, self.steps, (len(x_0),), generator=generator, device=x_0.device)
        return self.restored(self.degrade(x_0, x_end, t), t)

    def states(self, low: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """Improved sampling (algorithm 2): ``x_{t−1} = x_t − D(x̂_0, t) + D(x̂_0, t−1)``, where ``D(x̂_0, −1) = x̂_0``."""
        x_end = x = to_network(low)
        for i in range(self.steps - 1, -1, -1):
            t = torch.full((len(x),), i, device=x.device)
            x_hat = self.restored(x, t)
            if self.end == "estimated":
                clean, degraded = (float(w[i]) for w in self.weights)
                x_end = (x - clean * x_hat) / degraded
            x = x - self.degrade(x_hat, x_end, t) + (self.degrade(x_hat, x_end, t - 1) if i else x_hat)
            yield from_network(x)


ENDS = ("fixed", "estimated")
"""Values of the option ``end``."""

Weights = tuple[Tensor, Tensor]
"""Weights of the clean and of the degraded image at the steps 0..T−1, [T] float64 each."""


def linear(steps: int) -> Weights:
    """``a_t = 1 − (t+1)/T``, ``b_t = (t+1)/T``: the mean is preserved, and the last step is the degraded image itself."""
    degraded = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    return 1.0 - degraded, degraded


def cosine(steps: int) -> Weights:
    """``a_t = √ᾱ_t``, ``b_t = √(1−ᾱ_t)`` with the cosine schedule of ᾱ (offset 0.008, β at most 0.999)."""
    x = torch.arange(steps + 1, dtype=torch.float64) / steps
    cumulative = torch.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1.0 - cumulative[1:] / cumulative[:-1]).clamp(0.0, 0.999)
    alpha = torch.cumprod(1.0 - beta, 0)
    return alpha.sqrt(), (1.0 - alpha).sqrt()


WEIGHTS: dict[str, Callable[[int], Weights]] = {"linear": linear, "cosine": cosine}
