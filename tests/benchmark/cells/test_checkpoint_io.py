"""A checkpoint is of the moment at which it was asked for, whole, and its failure is not lost."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from ipv2_bench.benchmark.cells.training import checkpoint_io
from ipv2_bench.benchmark.cells.training.checkpoint_io import BackgroundCheckpointIO


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """What a disk waits for."""
    opened, save = threading.Event(), torch.save

    def slowly(value: object, file: BinaryIO) -> None:
        assert opened.wait(60)
        save(value, file)

    monkeypatch.setattr(checkpoint_io.torch, "save", slowly)
    return opened


def test_training_goes_on_while_it_is_written(gate: threading.Event, tmp_path: Path) -> None:
    io, path = BackgroundCheckpointIO(), tmp_path / "last.ckpt"
    weight = torch.nn.Parameter(torch.zeros(3))
    io.save_checkpoint({"state_dict": {"w": weight}, "steps": [1, {"t": torch.ones(2)}]}, path)
    with torch.no_grad():
        weight += 1.0  # the next step
    assert io.busy and not path.exists()
    gate.set()
    io.wait()
    assert not io.busy and io.seconds > 0.0
    read = torch.load(path, weights_only=True)
    assert read["state_dict"]["w"].tolist() == [0.0, 0.0, 0.0]
    assert read["steps"][0] == 1 and read["steps"][1]["t"].tolist() == [1.0, 1.0]
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    io.teardown()


@pytest.mark.parametrize("ask", ["wait", "busy", "save", "teardown"])
def test_what_could_not_be_written_is_said(ask: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(value: object, file: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_io.torch, "save", full)
    io, path = BackgroundCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({}, path)
    io._writer.submit(int).result()  # behind it
    with pytest.raises(OSError, match=r"last\.ckpt"):
        if ask == "busy":
            _ = io.busy
        else:
            {"wait": io.wait, "teardown": io.teardown, "save": lambda: io.save_checkpoint({}, path)}[ask]()
    assert not list(tmp_path.iterdir())
