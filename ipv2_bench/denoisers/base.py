"""The base class of all denoisers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.physics.seeding import derive_seed, torch_generator

SCHEDULES = ("constant", "one_cycle")


class Denoiser(L.LightningModule, ABC):
    """A denoiser as the benchmark sees it. To write one: :meth:`loss` and :meth:`denoise`.

    Images are [B, 1, H, W], float32 in [0, 1] of the HU window. A subclass passes options that it does not use itself
    on to this class.

    Parameters
    ----------
    lr
        Peak learning rate of Adam.
    schedule
        ``constant``, or ``one_cycle`` over the whole training.
    seed
        Of all that is drawn in training; the weights are drawn by whoever builds the module.
    ema_decay
        Decay of an exponential moving average of the weights that is used after training; 0 for none.
    ema_every, ema_start
        Steps between its updates, and the first step that takes part.
    """

    title = ""
    """Name in the tables; the class's name where it is empty."""

    divisor = 1
    """Height and width must be multiples of this; :meth:`restore` pads."""

    network_calls = 1
    """Network calls that denoising one slice takes."""

    def __init__(
        self,
        lr: float = 1e-4,
        schedule: str = "constant",
        seed: int = 0,
        ema_decay: float = 0.0,
        ema_every: int = 1,
        ema_start: int = 0,
    ) -> None:
        super().__init__()
        if not lr > 0:
            raise ValueError(f"lr is {lr}: expected a positive number")
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule '{schedule}' is unknown: use one of {', '.join(SCHEDULES)}")
        self.lr, self.schedule, self.seed = lr, schedule, seed
        self.ema_decay, self.ema_every, self.ema_start = ema_decay, ema_every, ema_start

    @abstractmethod
    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Training loss of a batch, a scalar. Everything random comes from ``generator``."""

    @abstractmethod
    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The uLDCT [B, 1, H, W] → denoised, same shape; H and W are multiples of :attr:`divisor`."""

    @torch.no_grad()
    def restore(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Denoise slices of any size: padded by reflection to :attr:`divisor`, cropped back, clipped to [0, 1].

        Raises
        ------
        ValueError
            When ``low`` is not [B, 1, H, W].
        """
        if low.ndim != 4 or low.shape[1] != 1:
            raise ValueError(f"got shape {tuple(low.shape)}: expected [batch, 1, height, width]")
        height, width = low.shape[-2:]
        pad = (0, -width % self.divisor, 0, -height % self.divisor)
        padded = F.pad(low, pad, mode="reflect") if any(pad) else low
        return self.denoise(padded, generator)[..., :height, :width].clamp(0.0, 1.0)

    def training_step(self, pair: TrainingPair, batch_idx: int) -> Tensor:
        """One step; what it draws is fixed by seed and step, so that an interrupted run goes on the same."""
        torch.manual_seed(derive_seed(self.seed, "layers", self.global_step))
        loss = self.loss(pair, torch_generator(self.seed, "loss", self.global_step, device=self.device))
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, pair: TrainingPair, batch_idx: int) -> None:
        """Loss on the validation pairs, with draws that are the same each time."""
        loss = self.loss(pair, torch_generator(self.seed, "validation", batch_idx, device=self.device))
        self.log("val/loss", loss, prog_bar=True, batch_size=len(pair.input), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Adam, with the schedule."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        if self.schedule == "constant":
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def at(t: Tensor, image: Tensor) -> Tensor:
    """One number per image, [B], shaped to be multiplied with images [B, C, H, W]."""
    return t.to(image.dtype).reshape(-1, *[1] * (image.ndim - 1))
