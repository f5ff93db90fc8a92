"""Flow Matching (Lipman et al., arXiv 2210.02747) from uLDCT to NDCT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser, at
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network


class FlowMatching(Denoiser):
    """A U-Net predicts the velocity of the straight path from the training input to the NDCT.

    Parameters
    ----------
    widths, dropout, unshuffle
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`.
    steps
        Euler steps of sampling; the paper takes 10.
    time_scale
        Factor of t in the embedding. 1 as in the public code, where t in [0, 1] meets an embedding for 0..1000.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    title = "FM"
    frequency = False

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.1,
        unshuffle: int = 1,
        steps: int = 10,
        time_scale: float = 1.0,
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if steps < 1:
            raise ValueError(f"steps is {steps}: expected at least 1")
        self.network = UNet(widths, self.frequency, dropout, time_scale, unshuffle)
        self.divisor, self.steps, self.network_calls = self.network.divisor, steps, steps
        if self.frequency:
            self.divisor *= 2  # its pooled branch halves the deepest level once more

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``E‖v(x_t, t) − (x_1 − x_0)‖²`` with ``x_t = (1−t)·x_0 + t·x_1`` (eq. 22–23 with σ_min = 0)."""
        x_0, x_1 = to_network(pair.input), to_network(pair.target)
        t = torch.rand(len(x_0), generator=generator, device=x_0.device, dtype=x_0.dtype)
        x_t = (1 - at(t, x_0)) * x_0 + at(t, x_0) * x_1
        return F.mse_loss(self.network(x_t, t), x_1 - x_0)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Explicit Euler of ``dx/dt = v(x, t)`` from the uLDCT at t = 0 to t = 1."""
        x = to_network(low)
        for i in range(self.steps):
            t = torch.full((len(x),), i / self.steps, device=x.device, dtype=x.dtype)
            x = x + self.network(x, t) / self.steps
        return from_network(x)
