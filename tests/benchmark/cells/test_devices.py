"""A training over two processes: the same weights each time, whatever ends it in between, and one message when one ends."""

from __future__ import annotations

import csv
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.plan import check_devices
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import Stopped
from ipv2_bench.benchmark.cells.training import ranks
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.errors import InputError
from tests.benchmark.examples import a_table, table_line

pytestmark = pytest.mark.usefixtures("one_thread")

BROKEN = """
from ipv2_bench.denoisers.iterative.fm import FlowMatching

class Half(FlowMatching):
    def loss(self, pair, generator):
        loss = super().loss(pair, generator)
        if self.global_rank == 1 and self.trainer.global_step == 3:
            raise ValueError("half of me does not work")
        return loss
"""


def a_spec(folder: Path, denoiser: str = "fm", *more: str) -> CellSpec:
    options = [f"run.work={folder}", "train.steps=40", "train.devices=2", "train.batch_size=1", "noise.calibrate=false"]
    config = load_config("smoke", [*options, "run.checkpoint_seconds=0", "denoisers.fm={widths: [8,16], steps: 2}", *more])
    benchmark = Benchmark.open(config, [a_table(lines=[table_line("IPv2", denoiser)])], progress=False)
    return next(spec for spec in benchmark.cells.values() if spec.denoiser.key == denoiser)


def in_folder(spec: CellSpec, folder: Path) -> CellSpec:
    folder.mkdir()
    return spec.model_copy(update={"folder": folder})


def test_it_is_repeated_and_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    spec = a_spec(tmp_path)
    whole, again, broken = (in_folder(spec, tmp_path / name) for name in ("whole", "again", "broken"))
    for one in (whole, again):
        train(one, lambda *_: None)
    asked = [0]

    def stop() -> bool:
        asked[0] += 1
        return asked[0] > 17

    with pytest.raises(Stopped):
        train(broken, lambda *_: None, stop)
    assert torch.load(broken.folder / "last.ckpt", weights_only=True)["global_step"] > 15
    assert not (broken.folder / "model.safetensors").exists()
    train(broken, lambda *_: None)
    expected, *others = (load_file(one.folder / "model.safetensors") for one in (whole, again, broken))
    for other in others:
        assert expected.keys() == other.keys() and all(torch.equal(expected[k], other[k]) for k in expected)
    rows = list(csv.DictReader((whole.folder / "history.csv").open(newline="")))
    assert [int(row["step"]) for row in rows] == list(range(1, 41))
    assert (whole.folder / "history.csv").read_bytes() == (broken.folder / "history.csv").read_bytes()
    # A step sees the slices of both: a whole pass takes half as many steps.
    assert whole.train.batch == "1 on each of 2 devices"
    assert int(rows[-1]["epoch"]) == 39 * 2 // len(spec.split.train)


def test_the_others_error_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    spec = in_folder(a_spec(tmp_path, "half:Half", "denoisers={}"), tmp_path / "cell")
    with pytest.raises(InputError, match="half of me does not work"):
        train(spec, lambda *_: None)


def test_a_process_that_is_killed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = in_folder(a_spec(tmp_path), tmp_path / "cell")
    begun = []
    context = ranks.get_context("spawn")
    start = context.Process.start
    monkeypatch.setattr(context.Process, "start", lambda self: (start(self), begun.append(self))[0])

    def kill(stage: str, step: int, steps: int) -> None:
        if step >= 3:
            os.kill(begun[0].pid, signal.SIGKILL)
            time.sleep(0.5)

    with pytest.raises(InputError, match="a process of this training over 2 devices ended with code -9"):
        train(spec, kill)
    assert (spec.folder / "last.ckpt").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.devices=4", "run.accelerator=gpu"], "train.devices is 4, and this machine has 0 GPUs"),
        (["train.devices=4", "run.on=slurm", "run.at.gpus=2"], "train.devices is 4, and run.at.gpus 2: set run.at.gpus=4"),
        (["train.devices=4", "run.on=slurm", "run.at.cpus=2"], "train.devices is 4, and run.at.cpus 2: set run.at.cpus=4"),
    ],
)
def test_more_than_there_are(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_devices(load_config("smoke", words))
