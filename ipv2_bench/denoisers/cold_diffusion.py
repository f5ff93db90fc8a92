"""Cold Diffusion (Bansal et al., arXiv 2208.09392) from uLDCT to NDCT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import CRITERIA, IterativeDenoiser, at, chosen
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network


class ColdDiffusion(IterativeDenoiser):
    """A U-Net restores the NDCT from a deterministic blend of it with the training input.

    Parameters
    ----------
    widths, dropout, unshuffle
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`.
    steps
        T, also the number of sampling steps; 50 in the IPv2 paper.
    time_scale
        Factor of t, which runs from 1 to T, in the embedding.
    criterion
        ``l1``, as published, or ``l2``.
    channels
        1, or 3 equal ones as in public code that reads grey PNG as RGB; the output is the mean of the three.
    residual
        Let the network predict x̂_0 − x_t, an option of the public code that short trainings need.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "Cold Diffusion"

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.1,
        unshuffle: int = 1,
        steps: int = 50,
        time_scale: float = 1.0,
        residual: bool = False,
        criterion: str = "l1",
        channels: int = 1,
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if steps < 1:
            raise ValueError(f"steps is {steps}: expected at least 1")
        self.error, self.channels = chosen("criterion", criterion, CRITERIA), channels
        self.network = UNet(widths, False, dropout, time_scale, unshuffle, channels)
        self.divisor, self.steps, self.network_calls = self.network.divisor, steps, steps
        self.residual = residual

    def restored(self, x: Tensor, t: Tensor) -> Tensor:
        """``R(x_t, t)``, the estimate of x_0."""
        out = self.network(x.expand(-1, self.channels, -1, -1), t)
        out = out.mean(dim=1, keepdim=True) if self.channels > 1 else out
        return x + out if self.residual else out

    def degrade(self, x_0: Tensor, x_end: Tensor, t: Tensor) -> Tensor:
        """``D(x_0, t) = (1 − t/T)·x_0 + (t/T)·x_T`` with t [B] in 0..T."""
        share = at(t, x_0) / self.steps
        return (1 - share) * x_0 + share * x_end

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``E‖R(D(x_0, t), t) − x_0‖₁`` (eq. 1)."""
        x_end, x_0 = to_network(pair.input), to_network(pair.target)
        t = torch.randint(1, self.steps + 1, (len(x_0),), generator=generator, device=x_0.device)
        return self.error(self.restored(self.degrade(x_0, x_end, t), t), x_0)

    def states(self, low: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """Improved sampling (algorithm 2): ``x_{t−1} = x_t − D(x̂_0, t) + D(x̂_0, t−1)``."""
        x_end = x = to_network(low)
        for i in range(self.steps, 0, -1):
            t = torch.full((len(x),), i, device=x.device)
            x_hat = self.restored(x, t)
            x = x - self.degrade(x_hat, x_end, t) + self.degrade(x_hat, x_end, t - 1)
            yield from_network(x)
