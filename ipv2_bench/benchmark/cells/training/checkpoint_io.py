"""Checkpoints: when they are made, and how they are written by a thread while training goes on."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint as LastOfAll
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils._pytree import tree_map

from ipv2_bench.benchmark.cells.status import Stop, Stopped, never
from ipv2_bench.benchmark.cells.training.callbacks import READ_EVERY, History
from ipv2_bench.files import write_whole

SHARE = 0.01
"""Largest share of the time of training that checkpoints take."""


class BackgroundCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints as files that are always whole: training waits while they are copied, not while they are written.

    Attributes
    ----------
    seconds
        What the last checkpoint took, copying and writing; 0 before the first.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Begin to write a checkpoint, when the one before is on the disk.

        Raises
        ------
        OSError
            When the one before could not be written.
        """
        self.wait()
        began = time.monotonic()
        copy = tree_map(_copied, checkpoint)
        self._writing = self._writer.submit(self._write, copy, Path(path), began)

    def _write(self, checkpoint: dict[str, Any], path: Path, began: float) -> None:
        write_whole(path, lambda file: _save(checkpoint, file))
        self.seconds = time.monotonic() - began

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written.

        Raises
        ------
        OSError
            When the last one could not be.
        """
        if self._writing is not None and self._writing.done():
            self.wait()
        return self._writing is not None

    def wait(self) -> None:
        """Until the last checkpoint is on the disk.

        Raises
        ------
        OSError
            When it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def teardown(self) -> None:
        """See :meth:`wait`."""
        self._writer.shutdown()
        self.wait()


def _save(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:  # in torch's words a full disk is an unexpected position
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _copied(value: Any) -> Any:
    """A tensor as it is now, on the CPU; the next step changes weights where they are."""
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value


class Checkpoint(LastOfAll):
    """Saves after a batch when the last save is ``seconds`` old, or when training is to stop; the file is always whole, and its
    weights are finite. A save that takes long is made less often, so that all of them take at most :data:`SHARE` of the time;
    ``seconds=0`` saves after every batch, whatever it takes.

    Lightning puts it behind all callbacks that a batch changes, being one of its checkpoints. Batches that a validation
    follows are left out: Lightning would go on behind them without it.
    """

    def __init__(
        self,
        path: Path,
        validate_every: int,
        history: History,
        io: BackgroundCheckpointIO,
        seconds: float = 15.0,
        stop: Stop = never,
    ) -> None:
        self.path, self.validate_every, self.history, self.io = path, validate_every, history, io
        self.seconds, self.stop = seconds, stop
        self._saved, self._step, self._decided = time.monotonic(), 0, 0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._step = self._decided = trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        unfinished, self._step = step == self._step, step  # a step whose gradients are still gathered
        if unfinished or step % self.validate_every == 0 or step == trainer.max_steps:
            return
        stopping = self.stop()
        saving = stopping or not self.seconds or not (self.io.busy or time.monotonic() - self._saved < self._pause)
        if trainer.world_size > 1:  # the first process decides for all, now and then, since they wait for it
            if self.seconds and step - self._decided < READ_EVERY:
                return
            self._decided = step
            saving, stopping = trainer.strategy.broadcast((saving, stopping))
        if not saving:
            return
        self.history.read()  # a loss that is not finite names its own slices
        self.history.finite.check_weights(trainer, module)
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()
        if stopping:
            self.io.wait()
            raise Stopped

    @property
    def _pause(self) -> float:
        """Seconds between two saves."""
        return max(self.seconds, self.io.seconds / SHARE)
