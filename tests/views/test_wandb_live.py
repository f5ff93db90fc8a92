"""What a training logs arrives while it goes on: each step once, also after a kill, and a failed cell is called out."""

from __future__ import annotations

import json
import os
import shutil
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.cells.training.live import LiveFile, live_rows, picture_of
from ipv2_bench.benchmark.provenance import commit
from ipv2_bench.benchmark.views.wandb import live
from ipv2_bench.benchmark.views.wandb.cell_run import CellRun
from ipv2_bench.benchmark.views.wandb.live import Followed, following
from ipv2_bench.benchmark.views.wandb.runs import Destination
from ipv2_bench.cli import main
from ipv2_bench.stored import write_object
from tests.program import EXPERIMENTS
from tests.wandb_files import history, of_type


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CellRun:
    monkeypatch.chdir(tmp_path)
    to = Destination("project", "board", "offline", tmp_path / "wandb")
    return CellRun(tmp_path / "cell", "FM · IPv2 · seed 0", "0" * 16, "m", to, {"lr": 0.1}, ("fm", "IPv2", "board", "seed 0"))


def train(folder: Path, first: int, last: int) -> None:
    """Log as a training does: a line for each step, and one more behind each fourth."""
    folder.mkdir(parents=True, exist_ok=True)
    log = LiveFile(folder)
    log.begin(first - 1)
    for step in range(first, last + 1):
        log(step, {"train/loss": 1 / step, "train/lr": 0.1, "epoch": step // 5})
        if step % 4 == 0:
            log(step, {"val/loss": 2 / step})
        if step == 8:
            picture_of(folder, step).parent.mkdir(exist_ok=True)
            Image.fromarray(np.zeros((8, 24), np.uint8)).save(picture_of(folder, step))
            log(step, {"val/psnr_db": 22.0})


def look_and_die(cell: CellRun) -> None:
    """Follow a cell in a process of its own that never closes the run."""
    Followed(cell).look()
    os._exit(9)


def logged(cell: CellRun) -> list[dict]:
    (run,) = cell.destination.root.glob("wandb/offline-run-*")
    return [row for row in history(run) if any(key.endswith("loss") for key in row)]


def test_steps_arrive_as_they_are_made(cell: CellRun) -> None:
    followed = Followed(cell)
    followed.look()
    assert not cell.destination.root.exists()  # nothing has been logged yet
    train(cell.folder, 1, 8)
    followed.look()
    train(cell.folder, 9, 13)
    followed.look()
    followed.look()
    assert followed._folds[""].steps == 12  # the last may still get a validation
    followed.end()
    rows = logged(cell)
    assert [row["_step"] for row in rows] == list(range(1, 14))
    assert rows[7] == {**rows[7], "train/loss": 0.125, "val/loss": 0.25, "epoch": 1} and "val/loss" not in rows[6]
    assert rows[7]["val/psnr_db"] == 22.0 and any(key.startswith("images/validation") for key in rows[7])
    assert not any("psnr" in key or "images" in key for row in (*rows[:7], *rows[8:]) for key in row)
    (run,) = cell.destination.root.glob("wandb/offline-run-*")
    (started,) = of_type(run, "run")
    assert sorted(started.tags) == ["IPv2", "board", "fm", "seed 0"]
    assert started.git.commit == (commit() or "") and not started.git.remote_url


def test_after_a_kill_each_step_is_there_once(cell: CellRun) -> None:
    train(cell.folder, 1, 10)
    killed = get_context("spawn").Process(target=look_and_die, args=(cell,))
    killed.start()
    killed.join()
    assert killed.exitcode == 9 and len(list(cell.destination.root.glob("wandb/offline-run-*"))) == 1
    path = cell.folder / "live.jsonl"
    path.write_bytes(path.read_bytes()[:-9])  # in the middle of a line
    assert live_rows(cell.folder)[0][-1][0] == 9
    train(cell.folder, 8, 12)  # from the checkpoint of step 7
    again = Followed(cell)
    again.look()
    again.end()
    rows = logged(cell)
    assert [row["_step"] for row in rows] == list(range(1, 13))
    assert [row["train/loss"] for row in rows] == [1 / step for step in range(1, 13)]


def test_folds_go_on_where_the_one_before_ended(cell: CellRun) -> None:
    followed = Followed(cell)
    train(cell.folder / "fold-0", 1, 6)
    followed.look()
    (cell.folder / "fold-0" / "live.jsonl").unlink()
    write_object(cell.folder / "fold-0" / "training_cost.json", {"steps": 6})
    train(cell.folder / "fold-1", 1, 3)
    followed.look()
    write_object(cell.folder / "cost.json", {})
    followed.look()  # complete: closed
    followed.end()
    rows = logged(cell)
    # The last step of the first fold was not looked at before its file was gone; the whole run of the complete cell has it.
    assert [row["_step"] for row in rows] == [1, 2, 3, 4, 5, 7, 8, 9]
    assert [row["fold-1/train/loss"] for row in rows if "fold-1/train/loss" in row] == [1.0, 0.5, 1 / 3]


def test_a_failed_cell_is_called_out(cell: CellRun) -> None:
    with following([cell]) as failures:
        failures.append(Failure(cell.name, "the loss of FM is nan at step 3"))
    (run,) = cell.destination.root.glob("wandb/offline-run-*")
    (alert,) = of_type(run, "alert")
    assert alert.title == "FM · IPv2 · seed 0 failed" and "is nan at step 3" in alert.text
    assert of_type(run, "exit")[0].exit_code == 1


def test_two_runs_of_a_board_do_not_follow_the_same_cells(cell: CellRun) -> None:
    train(cell.folder, 1, 5)
    with following([cell]) as one, following([cell]) as other:
        assert one == other == []


def test_trouble_ends_the_following_and_nothing_else(
    cell: CellRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no service")

    monkeypatch.setattr(live, "open_run", broken)
    train(cell.folder, 1, 5)
    with following([cell]) as failures:
        failures.append(Failure(cell.name, "failed"))
    assert capsys.readouterr().err == "ipv2-bench: W&B does not follow the trainings (RuntimeError: no service); they go on\n"


def test_a_benchmark_is_followed_and_its_runs_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live, "LOOKED_S", 0.2)
    seen: list[int] = []
    look = Followed.look

    def looked(self: Followed, last: bool = False) -> None:
        look(self, last)
        seen.extend(fold.steps for fold in self._folds.values())

    monkeypatch.setattr(Followed, "look", looked)
    (tmp_path / "table1.yaml").write_text("title: one\nrows:\n  - {denoiser: fm, strategy: IPv1}\n")
    (tmp_path / "one.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
    words = ["denoisers.fm={widths: [8,16], steps: 2}", "train.steps=200", "wandb.mode=offline", "run.processes=1"]
    assert main(["reproduce", "--config", "one.yaml", "--quiet", *words]) == 0
    assert any(0 < step < 200 for step in seen)  # before it was complete
    runs = [run for run in (tmp_path / "runs" / "smoke" / "wandb" / "wandb").glob("offline-run-*") if "-tables-" not in run.name]
    (run,) = runs
    steps = [row["_step"] for row in history(run) if "train/loss" in row]
    assert steps == list(range(1, 201))
    assert not list((tmp_path / "runs").rglob("live.jsonl"))
    config = {item.key: json.loads(item.value_json) for item in of_type(run, "run")[0].config.update}
    assert config["denoiser"] == "fm" and config["seed"] == 0
    shutil.rmtree(tmp_path / "runs")
