"""Checkpoints that are written by a thread while training goes on."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils._pytree import tree_map

from ipv2_bench.files import write_whole


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
