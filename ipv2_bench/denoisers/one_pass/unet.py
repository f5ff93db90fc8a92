"""A U-Net in one pass with a pixel-wise loss: the weak denoiser as IPv2's §3.3 words it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import CRITERIA, Denoiser, chosen
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network


class UNetDenoiser(Denoiser):
    """FFM's U-Net without frequency mixers predicts what is to be added to the input; not iterative.

    Parameters
    ----------
    widths, dropout, unshuffle, zero_last, padding
        See :class:`~ipv2_bench.denoisers.networks.unet.UNet`; its time is 0.
    criterion
        ``l2``, the mean squared error, or ``l1``.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "U-Net"

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.1,
        unshuffle: int = 1,
        criterion: str = "l2",
        zero_last: bool = False,
        padding: str = "right_below",
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.error = chosen("criterion", criterion, CRITERIA)
        self.network = UNet(widths, False, dropout, 1.0, unshuffle, 1, zero_last, padding)
        self.divisor = self.network.divisor

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``E‖x + U(x) − n‖²`` over the pixels."""
        return self.error(self._restored(to_network(pair.input)), to_network(pair.target))

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``x + U(x)``."""
        return from_network(self._restored(to_network(pair.input)))

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """``x + U(x)``, [B, 1, H, W]."""
        return from_network(self._restored(to_network(low)))

    def _restored(self, x: Tensor) -> Tensor:
        return x + self.network(x, torch.zeros(len(x), device=x.device, dtype=x.dtype))
