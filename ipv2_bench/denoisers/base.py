"""The base class of all denoisers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.data.pair import Pair, TrainingPair
from ipv2_bench.denoisers.shared.averaging import Averaging
from ipv2_bench.physics.seeding import derive_seed, torch_generator

SCHEDULES = ("constant", "cosine", "one_cycle")


class Denoiser(L.LightningModule, ABC):
    """Base class of a denoiser. A subclass writes :meth:`loss` and :meth:`denoise`.

    Images are [B, 1, H, W], float32 in [0, 1] of the HU window. A subclass passes options that it does not use itself
    on to this class.

    Parameters
    ----------
    lr
        Peak learning rate of Adam.
    schedule
        ``constant``; ``cosine`` down to zero; ``one_cycle`` up and down over the whole training.
    warmup
        Steps over which the learning rate rises from zero first; not with ``one_cycle``, which has its own.
    seed
        Of all that is drawn in training; the weights are drawn when the module is built, from torch's global generator.
    ema_decay
        Decay of an exponential moving average of the weights that is used after training; 0 for none.
    ema_every, ema_start
        Steps between its updates, and the first step that is averaged.
    """

    version: int = 1
    """Version of this denoiser: raise when the same data, options and seed give other weights or images.

    Every denoiser sets its own. A class from outside of this package that does not set it is known by its source text."""

    title = ""
    """Name in the tables; the class's name where it is empty."""

    divisor = 1
    """Height and width must be multiples of this; :meth:`restore` pads."""

    smallest = 1
    """Pixels along a side that training needs at least."""

    network_calls = 1
    """Number of network calls to denoise one slice."""

    fitted = False
    """Whether :meth:`fit` sets the denoiser from pairs at once, where others are trained step by step."""

    context = 1
    """Number of uLDCT slices in the input: 1, or 3 with the neighbours below and above."""

    def __init__(
        self,
        lr: float = 1e-4,
        schedule: str = "constant",
        seed: int = 0,
        ema_decay: float = 0.0,
        ema_every: int = 1,
        ema_start: int = 0,
        warmup: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < lr < math.inf:
            raise ValueError(f"lr is {lr}: expected a positive number")
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule '{schedule}' is unknown: use one of {', '.join(SCHEDULES)}")
        if warmup < 0 or (warmup and schedule == "one_cycle"):
            raise ValueError(
                f"warmup is {warmup} with schedule {schedule}: expected 0 or more steps, and 0 with one_cycle"
            )
        if not 0 <= ema_decay < 1 or ema_every < 1 or ema_start < 0:
            raise ValueError(
                f"ema_decay {ema_decay}, ema_every {ema_every}, ema_start {ema_start}: expected a share below 1, at least 1 "
                "and at least 0"
            )
        self.lr, self.schedule, self.seed, self.warmup = lr, schedule, seed, warmup
        self.ema_decay, self.ema_every, self.ema_start = ema_decay, ema_every, ema_start
        # Networks of the time of training, which no file of weights holds: one that a strategy trains along
        # (Strategy.correction), and one that judges the output, whose weights learn by the same optimizer.
        self.correction: nn.Module | None = None
        self.critic: nn.Module | None = None

    @abstractmethod
    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Training loss of a batch, a scalar. Everything random comes from ``generator``."""

    @abstractmethod
    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The uLDCT [B, context, H, W] → denoised, [B, 1, H, W]; H and W are multiples of :attr:`divisor`."""

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """What the network takes the target to be in a step of training, [B, 1, H, W] in about [0, 1], with gradients.

        Only the strategy ``correction`` asks for it, whose own loss takes the place of :meth:`loss`.
        """
        raise NotImplementedError(f"{type(self).__name__} writes no estimate(pair, generator)")

    def end_training(self) -> None:
        """Leave away the networks of the time of training."""
        self.correction = self.critic = None

    def fit(self, pair: TrainingPair) -> None:
        """Set what is chosen from some training pairs, [B, context, N, N]; for a denoiser that is :attr:`fitted`."""

    @torch.no_grad()
    def restore(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Denoise slices of any size: padded by reflection to :attr:`divisor`, cropped to their size, clipped to [0, 1].

        Dropout is off, even when the module is in training mode.

        Parameters
        ----------
        low
            uLDCT, [B, context, H, W], of the type of the weights.
        generator
            Of samplers that draw; on the slices' device.

        Returns
        -------
        Tensor
            Denoised slices, [B, 1, H, W] in [0, 1].

        Raises
        ------
        ValueError
            When ``low`` is not [B, context, H, W], is empty, is of another type than the weights, or holds NaN, infinity or
            values far outside of [0, 1].
        """
        self._check_input(low)
        height, width = low.shape[-2:]
        pad = (0, -width % self.divisor, 0, -height % self.divisor)
        # Reflection needs more pixels than are added; a smaller slice repeats its edge.
        fits = pad[1] < width and pad[3] < height
        padded = F.pad(low, pad, mode="reflect" if fits else "replicate") if any(pad) else low
        in_training = [m for m in self.modules() if m.training]
        for module in in_training:
            module.training = False
        try:
            return self.denoise(padded, generator)[..., :height, :width].clamp(0.0, 1.0)
        finally:
            for module in in_training:
                module.training = True

    def _check_input(self, low: Tensor) -> None:
        if low.ndim != 4 or low.shape[1] != self.context or not low.numel():
            raise ValueError(f"got shape {tuple(low.shape)}: expected [batch, {self.context}, height, width]")
        dtype = next((p.dtype for p in self.parameters()), torch.float32)
        if low.dtype != dtype:
            raise ValueError(f"got slices of {low.dtype}: expected {dtype}, as the weights")
        least, most = (float(v) for v in low.aminmax())
        if not (least >= -1.0 and most <= 2.0):  # false for NaN as well
            raise ValueError(f"got values from {least:g} to {most:g}: expected [0, 1] of the HU window, and no NaN")

    def training_step(self, pair: TrainingPair, batch_idx: int) -> Tensor:
        """Loss of one batch; its draws depend on seed and batch alone, so that an interrupted run continues the same.

        Each process of a distributed run has draws of its own.
        """
        # Batches, not steps: with accumulated gradients a step has several.
        batch = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        which = (batch, self.global_rank) if self.global_rank else (batch,)
        torch.manual_seed(derive_seed(self.seed, "layers", *which))
        generator = torch_generator(self.seed, "loss", *which, device=self.device)
        loss = self._objective(pair, generator)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _objective(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """The denoiser's own loss, or that of the strategy's correction in its place."""
        if self.correction is None:
            return self.loss(pair, generator)
        return self.correction(self.estimate(pair, generator), pair.target)

    def validation_step(self, pair: TrainingPair, batch_idx: int) -> None:
        """Loss on the validation pairs, with the same draws at each validation."""
        loss = self._objective(pair, torch_generator(self.seed, "validation", batch_idx, device=self.device))
        self.log("val/loss", loss, prog_bar=True, batch_size=len(pair.input), sync_dist=True)

    def predict_step(self, pair: Pair, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Indices of the slices in their set [B], and the denoised slices [B, 1, H, W]."""
        index = pair.slice_index.reshape(len(pair.low), -1)[:, self.context // 2]
        generator = torch_generator(self.seed, "denoise", int(index[0]), device=self.device)
        return index, self.restore(pair.low, generator)

    def compile_networks(self) -> None:
        """Compile every network of the module with torch.compile; the names in checkpoints stay as they are.

        Raises
        ------
        TypeError
            When layers are kept in a list, which is never called itself: such a class overrides this method.
        """
        for name, network in self.named_children():
            if network is self.critic:
                continue  # it is called with its weights held, too
            if isinstance(network, nn.ModuleList | nn.ModuleDict):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a list of layers: override compile_networks to compile it"
                )
            network.compile()

    def configure_callbacks(self) -> list[L.Callback]:
        """The callback that averages the weights, when ``ema_decay`` is above 0."""
        return [Averaging(self.ema_decay, self.ema_every, self.ema_start)] if self.ema_decay else []

    def configure_optimizers(self) -> Any:
        """Adam with the learning-rate schedule."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        if self.schedule == "constant" and not self.warmup:
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        scheduler: Any
        if self.schedule == "one_cycle":
            scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=total)
        else:
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._share_of_lr(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _share_of_lr(self, step: int, total: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - self.warmup) / max(1, total - self.warmup))))


class IterativeDenoiser(Denoiser):
    """Base class of a denoiser that samples step by step. A subclass writes :meth:`loss` and :meth:`states`."""

    @abstractmethod
    def states(self, low: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """The image after each step of sampling, [B, 1, H, W] in about [0, 1]; the last is the denoised one.

        H and W are multiples of :attr:`divisor`. States are yielded one by one and not kept.
        """

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The last image of :meth:`states`, [B, 1, H, W]."""
        x = low
        for x in self.states(low, generator):  # noqa: B007
            pass
        return x


CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "l2": F.mse_loss}
"""Training criteria by option value: mean absolute and mean squared error."""

T = TypeVar("T")


def chosen(option: str, value: str, known: dict[str, T]) -> T:
    """``known[value]``.

    Raises
    ------
    ValueError
        For an unknown value; the valid ones are listed.
    """
    if value not in known:
        raise ValueError(f"{option} '{value}' is unknown: use one of {', '.join(known)}")
    return known[value]


def repeated(image: Tensor, channels: int) -> Tensor:
    """The grey image [B, 1, H, W] in each of some equal channels, [B, channels, H, W], as code for RGB reads grey PNG."""
    return image.expand(-1, channels, -1, -1)


def grey(image: Tensor) -> Tensor:
    """The mean over channels, [B, C, H, W] → [B, 1, H, W]."""
    return image.mean(dim=1, keepdim=True) if image.shape[1] > 1 else image


def at(t: Tensor, image: Tensor) -> Tensor:
    """``t`` [B], one number per image, reshaped to broadcast over images [B, C, H, W]."""
    return t.to(image.dtype).reshape(-1, *[1] * (image.ndim - 1))
