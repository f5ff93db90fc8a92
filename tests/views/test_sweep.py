"""A search by ``wandb sweep``: its file is what W&B reads, and a trial's loss arrives in the run that the agent has chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args, load_sweep_config

from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.views.wandb.publish import _trial
from ipv2_bench.benchmark.views.wandb.runs import Destination
from tests.conftest import Smoke
from tests.program import EXPERIMENTS, run
from tests.wandb_files import history, of_type

METHODS = ("grid", "random", "bayes")
SMALL = ["denoisers.fm={widths: [8,16], steps: 2}", "run.processes=1", "--quiet"]


def words_of(file: Path) -> list[str]:
    """The command of a sweep's first trial, as W&B's agent builds it."""
    sweep = load_sweep_config(str(file))
    assert sweep is not None and sweep["method"] in METHODS and set(sweep["metric"]) == {"name", "goal"}
    values = {key: {"value": own["min"] if "min" in own else own["values"][-1]} for key, own in sweep["parameters"].items()}
    given = create_sweep_command_args({"args": values})
    words = [str(word) for word in create_sweep_command(sweep["command"])]
    return [w for word in words for w in (given["args_no_hyphens"] if word == "${args_no_hyphens}" else [word])]


@pytest.mark.parametrize("file", sorted((EXPERIMENTS / "sweeps").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_trial_is_logged_under_the_name_that_the_agent_gave_it(file: Path, tmp_path: Path) -> None:
    program, *words = words_of(file)
    assert program == "ipv2-bench"
    words[words.index("--config") + 1] = "smoke"
    metric = (load_sweep_config(str(file)) or {})["metric"]["name"]
    own = {"WANDB_SWEEP_ID": "sweep123"}
    runs = tmp_path / "runs" / "smoke" / "wandb" / "wandb"
    for trial in ("trial001", "trial002"):  # the second finds its cell complete
        assert not run(tmp_path, *words, *SMALL, WANDB_RUN_ID=trial, **own).stderr
        (logged,) = runs.glob(f"offline-run-*-{trial}")
        assert any(metric in row for row in history(logged))
        (started,) = of_type(logged, "run")
        assert started.run_id == trial and started.sweep_id == "sweep123"
    assert len(list(runs.glob("offline-run-*"))) == 2
    said = run(tmp_path, *words, *SMALL, "seeds=[0,1]", WANDB_RUN_ID="trial003", code=2, **own).stderr
    assert "a trial of a sweep is one cell, and there are 2 seeds: set seeds=[0]" in said


def test_outside_of_a_sweep_a_run_has_the_name_of_its_cell(tmp_path: Path) -> None:
    run(tmp_path, "train", "--config", "smoke", "--denoiser", "fm", "--strategy", "IPv1", *SMALL)
    (logged,) = (tmp_path / "runs" / "smoke" / "wandb" / "wandb").glob("offline-run-*")
    (cell,) = (tmp_path / "runs" / "smoke" / "cells").iterdir()
    assert f"-{cell.name}-" in logged.name and any("train/loss" in row for row in history(logged))


def test_a_trial_says_nothing_of_the_test_slices_and_one_that_failed_is_not_written_whole(smoke: Smoke, tmp_path: Path) -> None:
    benchmark = smoke.benchmark(tmp_path)
    to = Destination("project", "board", "offline", tmp_path / "wandb")
    complete = next(iter(benchmark.cells.values()))
    (trial,) = _trial(complete, benchmark, Rows(benchmark), to, "trial001")
    assert trial.run_id == "trial001" and not trial.metrics and not trial.draw() and not trial.published
    failed = complete.model_copy(update={"folder": tmp_path / "failed"})
    assert not _trial(failed, benchmark, Rows(benchmark), to, "trial001")
