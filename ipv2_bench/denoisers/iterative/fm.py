"""Flow Matching (Lipman et al., arXiv 2210.02747) from uLDCT to NDCT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import CRITERIA, IterativeDenoiser, at, chosen, grey, repeated
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network


class FlowMatching(IterativeDenoiser):
    """A U-Net predicts the velocity of the straight path from the training input to the NDCT.

    Parameters
    ----------
    widths, dropout, unshuffle
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`.
    steps
        Steps of sampling; 10 in the paper, 50 in FFM's public code.
    solver
        ``euler``, as published, or ``midpoint`` or ``heun``: second order, two network calls a step.
    criterion
        ``l2``, as published, or ``l1``.
    channels
        1, or 3 equal ones as in the public code, which reads grey PNG as RGB; the output is the mean of the three.
    time_scale
        Factor of t in the embedding. 1 as in the public code, where t in [0, 1] meets an embedding for 0..1000.
    zero_last, padding
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`; the defaults are those of the public code.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "FM"
    frequency = False

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.1,
        unshuffle: int = 1,
        steps: int = 10,
        time_scale: float = 1.0,
        solver: str = "euler",
        criterion: str = "l2",
        channels: int = 1,
        zero_last: bool = False,
        padding: str = "right_below",
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if steps < 1:
            raise ValueError(f"steps is {steps}: expected at least 1")
        self.solver, self.error = chosen("solver", solver, SOLVERS), chosen("criterion", criterion, CRITERIA)
        self.network = UNet(
            widths, self.frequency, dropout, time_scale, unshuffle, channels, zero_last, padding
        )
        self.divisor, self.steps, self.channels = self.network.divisor, steps, channels
        self.network_calls = steps * (1 if solver == "euler" else 2)
        if self.frequency:
            self.divisor *= 2  # its pooled branch halves the deepest level once more

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``E‖v(x_t, t) − (x_1 − x_0)‖²`` with ``x_t = (1−t)·x_0 + t·x_1`` (eq. 22–23 with σ_min = 0)."""
        x_0, x_1 = to_network(pair.input), to_network(pair.target)
        return self.error(self._drawn_velocity(x_0, x_1, generator), repeated(x_1 - x_0, self.channels))

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``x_0 + v(x_t, t)``, which is x_1 where the velocity is right."""
        x_0, x_1 = to_network(pair.input), to_network(pair.target)
        return from_network(x_0 + grey(self._drawn_velocity(x_0, x_1, generator)))

    def _drawn_velocity(self, x_0: Tensor, x_1: Tensor, generator: torch.Generator) -> Tensor:
        """``v(x_t, t)`` at a random t for each image."""
        t = torch.rand(len(x_0), generator=generator, device=x_0.device, dtype=x_0.dtype)
        x_t = (1 - at(t, x_0)) * x_0 + at(t, x_0) * x_1
        return self.network(repeated(x_t, self.channels), t)

    def states(self, low: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """``dx/dt = v(x, t)`` (eq. 1) from the uLDCT at t = 0 to t = 1."""
        x = repeated(to_network(low), self.channels)
        for i in range(self.steps):
            x = self.solver(self._velocity, x, i / self.steps, 1.0 / self.steps)
            yield from_network(grey(x))

    def _velocity(self, x: Tensor, t: float) -> Tensor:
        return self.network(x, torch.full((len(x),), t, device=x.device, dtype=x.dtype))


Velocity = Callable[[Tensor, float], Tensor]


def euler(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """``x + h·v(x, t)``: error of first order in h."""
    return x + h * velocity(x, t)


def midpoint(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """``x + h·v(x + h/2·v(x, t), t + h/2)``: error of second order in h."""
    return x + h * velocity(x + 0.5 * h * velocity(x, t), t + 0.5 * h)


def heun(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """``x + h/2·(v₁ + v(x + h·v₁, t + h))`` with ``v₁ = v(x, t)``: error of second order in h."""
    first = velocity(x, t)
    return x + 0.5 * h * (first + velocity(x + h * first, t + h))


SOLVERS = {"euler": euler, "midpoint": midpoint, "heun": heun}
