"""Checkpoints take a hundredth of the time at most, and come at once when training is to stop."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ipv2_bench.benchmark.cells.status import Stopped
from ipv2_bench.benchmark.cells.training.checkpoint_io import SHARE, Checkpoint


class Clock:
    """A time that goes on as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def training(path: Path, clock: Clock, save_s: float, stop: Any = lambda: False, seconds: float = 15.0) -> Any:
    """A function that does a step of a tenth of a second, and the times of the checkpoints that it made."""
    saved: list[float] = []

    io: Any = SimpleNamespace(busy=False, seconds=0.0, wait=lambda: None)

    def save(path: Path) -> None:
        clock.now += save_s
        saved.append(clock.now)
        io.seconds = save_s
        path.write_bytes(b"")

    history: Any = SimpleNamespace(read=lambda: None, finite=SimpleNamespace(check_weights=lambda *_: None))
    trainer: Any = SimpleNamespace(global_step=0, max_steps=10**9, save_checkpoint=save, world_size=1)
    module: Any = None
    callback = Checkpoint(path, 10**8, history, io, seconds, stop)
    callback.on_train_start(trainer, module)

    def step() -> None:
        clock.now += 0.1
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, None, 0)

    return step, saved


@pytest.mark.parametrize("save_s", [0.01, 0.5, 4.0])
def test_their_share_of_the_time(save_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    step, saved = training(tmp_path / "last.ckpt", clock, save_s)
    for _ in range(20000):
        step()
    between = [b - a for a, b in pairwise(saved)]
    assert min(between) == pytest.approx(max(15.0, save_s / SHARE) + save_s, abs=0.2)
    assert save_s * (len(saved) - 1) <= 1.01 * SHARE * clock.now


def test_a_stop_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(monkeypatch), [False]
    step, saved = training(tmp_path / "last.ckpt", clock, 1.0, lambda: asked[0])
    for _ in range(20):
        step()
    assert not saved
    asked[0] = True
    with pytest.raises(Stopped):
        step()
    assert len(saved) == 1 and (tmp_path / "last.ckpt").exists()


def test_none_of_the_pauses_where_none_is_wished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, saved = training(tmp_path / "last.ckpt", Clock(monkeypatch), 4.0, seconds=0.0)
    for _ in range(5):
        step()
    assert len(saved) == 5
