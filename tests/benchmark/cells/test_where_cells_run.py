"""Where cells run: lanes of this machine, a place from outside, the specification as JSON, and what a cell is at."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.cells.runners import local
from ipv2_bench.benchmark.cells.runners.local import Local
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import CellStatus, StatusFile
from ipv2_bench.cli import main
from ipv2_bench.processes import worker_pool
from tests.conftest import Smoke
from tests.program import EXPERIMENTS, SMALL, run

HERE = """
from ipv2_bench.benchmark.cells.run import run_reported
from ipv2_bench.benchmark.cells.runners.runner import Failure, Runner

class Here(Runner):
    def __init__(self, greeting="cell"):
        self.greeting = greeting

    def run(self, specs, progress=True):
        messages = {}
        for spec in specs:
            if not spec.complete:
                print(self.greeting, spec.name)
                messages[spec.name] = run_reported(spec, lambda *_: None)
        return [Failure(name, message) for name, message in messages.items() if message]
"""


def test_a_place_from_outside_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "places.py").write_text(HERE)
    (tmp_path / "table1.yaml").write_text("title: one\nrows:\n  - {denoiser: fm, strategy: IPv2}\n")
    (tmp_path / "one.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
    words = ("reproduce", "--config", "one.yaml", "wandb.mode=disabled", "run.on=places:Here", *SMALL)
    done = run(tmp_path, *words, "run.at.greeting=hello")
    assert "hello FM · IPv2 · seed 0" in done.stdout and "1 cells completed in" in done.stdout
    assert "hello" not in run(tmp_path, *words).stdout
    said = run(tmp_path, *words, "run.at.greting=hello", code=2).stderr
    assert "run.on=places:Here has no option 'greting': did you mean greeting?" in said
    assert "run.at.most is for cells in a queue: set run.on=slurm" in run(tmp_path, *words[:4], "run.at.most=3", code=2).stderr


def test_a_specification_is_the_same_when_it_was_written_and_read(smoke: Smoke, tmp_path: Path) -> None:
    for spec in smoke.benchmark(tmp_path).cells.values():
        again = CellSpec.model_validate_json(spec.model_dump_json())
        for name in type(spec).model_fields.keys() - {"slices", "split", "folds", "denoiser"}:
            assert getattr(again, name) == getattr(spec, name), name
        assert again.slices.manifest == spec.slices.manifest and again.complete and again.name == spec.name
        assert again.denoiser.changed_options == spec.denoiser.changed_options
        assert [fold.add_noise for fold in again.folds] == [fold.add_noise for fold in spec.folds]
        splits = [[one.split, *(fold.split for fold in one.folds)] for one in (spec, again)]
        for own, other in zip(*splits, strict=True):
            for part in ("train", "val", "test"):
                assert np.array_equal(getattr(own, part), getattr(other, part))
                assert getattr(own, part).dtype == getattr(other, part).dtype


@pytest.mark.parametrize(
    ("gpus", "accelerator", "processes", "seen"),
    [
        (0, "cpu", 2, [None, None]),
        (1, "gpu", 1, [None]),
        (1, "gpu", 2, [None, None]),
        (3, "gpu", 3, ["0", "1", "2"]),
        (2, "gpu", 4, ["0", "1", "0", "1"]),
        (4, "cpu", 2, [None, None]),
    ],
)
def test_each_lane_sees_one_gpu(
    gpus: int,
    accelerator: str,
    processes: int,
    seen: list[str | None],
    smoke: Smoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "gpus", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    runner = Local()
    runner.processes = processes
    specs = [spec.model_copy(update={"accelerator": accelerator}) for spec in smoke.benchmark(tmp_path).cells.values()]
    assert [lane.gpu for lane in runner._lanes(specs)] == seen
    if gpus == 3:  # somebody else has the others
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5a, 7")
        assert [lane.gpu for lane in runner._lanes(specs)] == ["2", "GPU-5a", "7"]


def test_a_worker_has_the_variables_that_it_is_given() -> None:
    with worker_pool(1, {"CUDA_VISIBLE_DEVICES": "2"}) as pool:
        assert pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "2"
    assert os.getenv("CUDA_VISIBLE_DEVICES") != "2"


def test_a_status_says_how_far_a_cell_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = StatusFile(tmp_path, job="7")
    file("epoch 1", 100, 500)
    assert CellStatus.read(tmp_path).seconds_left is None
    now[0] += 10.0
    file("epoch 3", 200, 500)
    own = CellStatus.read(tmp_path)
    assert (own.state, own.stage, own.step, own.job, own.process) == ("running", "training", 200, "7", os.getpid())
    assert own.seconds_left == pytest.approx(30.0)
    now[0] += 0.1
    file("epoch 3", 201, 500)
    assert CellStatus.read(tmp_path).step == 200  # not at every step
    file("fold 2/2, epoch 1", 3, 500)
    assert CellStatus.read(tmp_path).stage == "fold 2/2, training"
    file("denoising", 1, 8)
    assert CellStatus.read(tmp_path).stage == "denoising"
    file.end("failed", "because")
    assert (CellStatus.read(tmp_path).state, CellStatus.read(tmp_path).message) == ("failed", "because")
    file.end()
    assert CellStatus.read(tmp_path) is None and not list(tmp_path.iterdir())
    (tmp_path / "status.json").write_text('{"state": "run')
    assert CellStatus.read(tmp_path) is None


def test_status_lists_every_cell(smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", "smoke", *smoke.settings(tmp_path)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "smoke: 22 complete" and len(lines) == 22 and all(line.endswith(" complete") for line in lines)
    words = ["status", "--config", "smoke", f"run.work={tmp_path / 'w'}", "wandb.mode=disabled", "--tables", "2", "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[0] == "smoke: 1 waiting"


def test_a_training_over_several_gpus_sees_them_all(smoke: Smoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "gpus", lambda: 5)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    specs = list(smoke.benchmark(tmp_path).cells.values())
    train = specs[0].train.model_copy(update={"devices": 2})
    specs = [spec.model_copy(update={"accelerator": "gpu", "train": train}) for spec in specs]
    runner = Local()
    runner.processes = 3
    assert [lane.gpu for lane in runner._lanes(specs)] == ["0,1", "2,3", "0,1"]
