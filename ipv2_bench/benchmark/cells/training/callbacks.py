"""What accompanies training: checks of loss and weights, history, throughput and cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import lightning as L
import torch
from torch import Tensor

from ipv2_bench.benchmark.cells.cost import TrainingCost, peak_memory_mb, reset_peak_memory
from ipv2_bench.errors import InputError
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.stored import write_object

Report = Callable[[str, int, int], None]

FIELDS = ("step", "epoch", "loss", "lr", "val_loss")
SPEED = ("step", "slices_per_s", "gpu_memory_mb")

Live = Callable[[int, Mapping[str, Any]], None]
"""Logs values of a step for those who look on."""


class Finite(L.Callback):
    """Refuses weights that are not finite, and says where a training failed; names the checkpoint to continue from."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.check_weights(trainer, module)

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        exception.add_note(f"in step {trainer.global_step + 1} of the training, on slices {latest_keys(trainer)}")

    def check_weights(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Refuse to go on, and to save, where a gradient that was not finite has spoiled them."""
        finite = [torch.isfinite(weight).all() for weight in module.parameters()]
        if finite and not bool(torch.stack(finite).all()):  # read once, since each reading waits for a GPU
            names = (name for name, weight in module.named_parameters() if not bool(torch.isfinite(weight).all()))
            what = f"{next(names)} of {type(module).__name__} holds NaN or infinity"
            self.refuse(what, trainer.global_step, latest_keys(trainer))

    def refuse(self, what: str, step: int, keys: str) -> NoReturn:
        """End the training.

        Raises
        ------
        InputError
            Always, with the remedies.
        """
        good = f"{self.checkpoint.name} of step {self.saved()}" if self.checkpoint.exists() else "none yet"
        raise InputError(
            f"{what} at step {step}, on slices {keys}: lower train.lr or set train.clip=1.0, or look at these slices; last good "
            f"checkpoint: {good}"
        )

    def saved(self) -> int:
        """Step of the checkpoint."""
        return int(torch.load(self.checkpoint, map_location="cpu", weights_only=True)["global_step"])


def latest_keys(trainer: L.Trainer) -> str:
    """Indices of the last batch's slices in their set, with their keys."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return keys_of(data, getattr(data, "latest", ()))


def keys_of(data: Any, indices: Sequence[int]) -> str:
    """Indices of slices in their set, with their keys."""
    keys = getattr(getattr(data, "slices", None), "key", ())
    return f"[{', '.join(f'{i} (key {keys[i]})' if keys else str(i) for i in indices)}]"


READ_EVERY = 20
"""Batches whose losses are read at once: each reading waits until a GPU has done all that it was given."""


class _Unread(NamedTuple):
    """A batch whose loss is still where it was computed; ``step`` is that before it, and ``ends`` whether it completed one."""

    loss: Tensor
    step: int
    ends: bool
    epoch: int
    lr: float
    slices: list[int]


class History(L.Callback):
    """Keeps loss and learning rate of every step in a CSV file, reports progress, and ends a training whose loss is not finite.

    The rows are part of the checkpoint, so a resumed run has each step once.
    """

    def __init__(self, path: Path, report: Report, finite: Finite, live: Live) -> None:
        self.path, self.report, self.finite, self.live = path, report, finite, live
        self.rows: list[list] = []
        self._unread: list[_Unread] = []
        self._losses: list[float] = []
        self._reported, self._lr, self._epoch, self._step = 0.0, 0.0, 0, 0
        self._data: Any = None
        self._name = ""

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._data, self._step = trainer.datamodule, trainer.global_step  # type: ignore[attr-defined]
        self._name = type(module).__name__

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._epoch = self._data.epoch

    def state_dict(self) -> dict:
        self.read()
        return {"rows": [list(r) for r in self.rows]}

    def load_state_dict(self, state: dict) -> None:
        self.rows = [list(r) for r in state["rows"]]

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Several batches make a step when gradients are accumulated, and each outputs its share of the loss.
        before, self._step = self._step, trainer.global_step
        ends = self._step != before
        loss = outputs["loss"].detach().reshape(()).clone()
        self._unread.append(_Unread(loss, before, ends, self._epoch, self._lr, self._data.latest))
        if len(self._unread) == READ_EVERY:
            self.read()
        if ends and (time.monotonic() - self._reported > 0.3 or self._step == trainer.max_steps):
            self._reported = time.monotonic()
            self.report(f"epoch {self._epoch + 1}", self._step, trainer.max_steps)

    def read(self) -> None:
        """Take the losses that were kept from the device, all at once.

        Raises
        ------
        InputError
            When one is not finite.
        """
        unread, self._unread = self._unread, []
        losses = torch.stack([one.loss for one in unread]).tolist() if unread else []
        for loss, one in zip(losses, unread, strict=True):
            if not math.isfinite(loss):
                self.finite.refuse(f"the loss of {self._name} is {loss}", one.step + 1, keys_of(self._data, one.slices))
            self._losses.append(loss)
            if one.ends:
                self.rows.append([one.step + 1, one.epoch, sum(self._losses), one.lr, None])
                self._losses.clear()
                self.live(one.step + 1, {"train/loss": self.rows[-1][2], "train/lr": one.lr, "epoch": one.epoch})

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.read()
        if self.rows and "val/loss" in trainer.callback_metrics:
            self.rows[-1][4] = float(trainer.callback_metrics["val/loss"])
            self.live(self.rows[-1][0], {"val/loss": self.rows[-1][4]})

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.read()
        if trainer.is_global_zero:
            _write_csv(self.path, FIELDS, self.rows)


class Threads(L.Callback):
    """Keeps the threads of a process as they were set: where there are several, Lightning sets them anew."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        torch.set_num_threads(self.threads)


class Throughput(L.Callback):
    """Keeps slices per second and peak GPU memory in a CSV file, a row for every ``every`` steps.

    They differ from run to run, and so stand apart from what :class:`History` keeps.
    """

    def __init__(self, path: Path, every: int, live: Live) -> None:
        self.path, self.every, self.live = path, every, live
        self.rows: list[list] = []
        self._since, self._slices, self._step = 0.0, 0, 0

    def state_dict(self) -> dict:
        return {"rows": [list(r) for r in self.rows]}

    def load_state_dict(self, state: dict) -> None:
        self.rows = [list(r) for r in state["rows"]]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._since, self._slices, self._step = time.monotonic(), 0, trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._slices += len(trainer.datamodule.latest)  # type: ignore[attr-defined]
        step, now = trainer.global_step, time.monotonic()
        if step == self._step or step % self.every:
            return
        memory = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
        self.rows.append([step, self._slices / max(now - self._since, 1e-9), memory])
        known = zip(SPEED[1:], self.rows[-1][1:], strict=True)
        self.live(step, {f"train/{name}": value for name, value in known if value is not None})
        self._since, self._slices, self._step = now, 0, step

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        _write_csv(self.path, SPEED, self.rows)


class Spent(L.Callback):
    """Keeps what training cost in a file, and the pairs that it uses; what was spent before is part of the checkpoint.

    ``aside`` says how many seconds went elsewhere.
    """

    def __init__(self, path: Path, pairs_used: float, aside: Callable[[], float] = float) -> None:
        self.path, self.pairs_used, self.aside = path, pairs_used, aside
        self._since, self._before = time.perf_counter(), TrainingCost()
        reset_peak_memory()

    def cost(self) -> TrainingCost:
        """Until now."""
        seconds = self._before.seconds + time.perf_counter() - self._since - self.aside()
        return TrainingCost(
            seconds=round(seconds, 2),
            peak_memory_mb=max(self._before.peak_memory_mb, peak_memory_mb()),
            pairs_used=round(self.pairs_used, 4),
        )

    def state_dict(self) -> dict:
        return self.cost().model_dump()

    def load_state_dict(self, state: dict) -> None:
        self._before = TrainingCost.model_validate(state)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        write_object(self.path, self.cost().model_copy(update={"steps": trainer.global_step}).model_dump(mode="json"))


def _write_csv(path: Path, columns: Sequence[str], rows: list[list]) -> None:
    write_text(path, csv_text([dict(zip(columns, row, strict=True)) for row in rows], columns, digits=8))
