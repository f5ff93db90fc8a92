"""Cells that are killed go on where they stopped, and one that fails leaves the others alone."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.program import EXPERIMENTS, ROOT, run, run_here, start, table, without_times
from tests.wandb_files import history


@pytest.fixture(scope="module")
def two_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of two cells that train long enough to be killed."""
    folder = tmp_path_factory.mktemp("two_cells")
    rows = "rows:\n  - {denoiser: fm, strategy: IPv2}\n  - {denoiser: corediff, strategy: IPv1}\n"
    (folder / "table9.yaml").write_text("title: killed\n" + rows)
    text = (
        (EXPERIMENTS / "smoke.yaml")
        .read_text()
        .replace("steps: 4,", "steps: 60,")
        .replace("{widths: [8, 16], steps: 2}", "{widths: [8, 16]}")
    )
    text = text.replace("modulator: 4, steps: 3", "modulator: 4, steps: 3, ema_start: 20, ema_every: 5")
    (folder / "killed.yaml").write_text(text + "tables: [table9.yaml]\nwandb: {mode: disabled}\n")
    return folder


@pytest.fixture(scope="module")
def whole(two_cells: Path) -> Path:
    """The folder of a run that was left alone."""
    folder = two_cells / "whole"
    folder.mkdir()
    run_here(folder, "reproduce", "--config", str(two_cells / "killed.yaml"))
    return folder


@pytest.mark.parametrize(
    ("moment", "file"),
    [("before training", "index.json"), ("in training", "last.ckpt"), ("after training", "model.safetensors")],
)
def test_a_killed_run_ends_in_the_same_tables(
    two_cells: Path, whole: Path, tmp_path: Path, moment: str, file: str
) -> None:
    words = ("reproduce", "--config", str(two_cells / "killed.yaml"))
    if moment != "before training":  # the slices are the same
        shutil.copytree(whole / "runs" / "cache", tmp_path / "runs" / "cache")
    process = start(tmp_path, *words, "run.checkpoint_seconds=0")
    deadline = time.monotonic() + 600
    while not any((tmp_path / "runs").rglob(file)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    assert not (tmp_path / "leaderboards").exists()
    time.sleep(1.0)  # the workers notice that they are orphans
    run_here(tmp_path, *words)
    expected, got = (without_times(f / "leaderboards" / "smoke" / "table9.csv") for f in (whole, tmp_path))
    assert got == expected
    for path in (whole / "runs").rglob("history.csv"):
        assert path.read_bytes() == (tmp_path / path.relative_to(whole)).read_bytes()
    if moment == "in training":
        run_here(tmp_path, *words, "wandb.mode=offline")
        cells = [f for f in (tmp_path / "runs").rglob("offline-run-*") if "-tables-" not in f.name]
        assert len(cells) == 2
        for folder in cells:
            assert [row["_step"] for row in history(folder) if "train/loss" in row] == list(range(1, 61))


OUTSIDE = """
import os
from ipv2_bench.denoisers.iterative.fm import FlowMatching

def in_training(pair):  # and not in the trial before it
    return pair.input.shape[-1] > 32

class Breaks(FlowMatching):
    def loss(self, pair, generator):
        return super().loss(pair, generator) * float("nan")

class Dies(FlowMatching):
    def loss(self, pair, generator):
        return os._exit(7) if in_training(pair) else super().loss(pair, generator)

class Raises(FlowMatching):
    def loss(self, pair, generator):
        if in_training(pair):
            raise KeyError("a programming error")
        return super().loss(pair, generator)

class Works(FlowMatching):
    title = "Mine"
"""


def test_a_failed_cell_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(OUTSIDE)
    names = [f"outside:{c}" for c in ("Breaks", "Dies", "Raises", "Works")]
    rows = "rows:\n" + "".join(f"  - {{denoiser: '{name}', strategy: IPv2}}\n" for name in names)
    (tmp_path / "table9.yaml").write_text("title: outside\n" + rows)
    options = "".join(f"\n  '{name}': {{widths: [8, 16], steps: 2}}" for name in names)
    text = (EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table9.yaml]\nwandb: {mode: disabled}\n"
    (tmp_path / "outside.yaml").write_text(text.replace("denoisers:", f"denoisers:{options}"))
    search = f"{ROOT}{os.pathsep}{tmp_path}"
    done = run(tmp_path, "reproduce", "--config", "outside.yaml", code=1, PYTHONPATH=search)
    said = [line for line in done.stderr.splitlines() if line.startswith("ipv2-bench: cell outside:")]
    assert len(said) == 3
    breaks, dies, raises = (next(x for x in said if name in x) for name in ("Breaks", "Dies", "Raises"))
    assert "the loss of Breaks is nan at step 1" in breaks and "train.clip" in breaks
    assert "out of memory, or killed" in dies
    assert "KeyError: 'a programming error', in step 1 of the training, on slices [" in raises
    (log,) = (tmp_path / "runs").rglob("error.log")
    assert "a programming error" in log.read_text()
    assert [x["denoiser"] for x in table(tmp_path / "leaderboards" / "smoke" / "table9.csv")] == ["Mine"]
    assert "1 cells completed in" in done.stdout
    shown = run(tmp_path, "status", "--config", "outside.yaml", code=1, PYTHONPATH=search).stdout.splitlines()
    assert shown[0] == "smoke: 3 failed, 1 complete"
    (at,) = (k for k, line in enumerate(shown) if line.startswith("outside:Raises"))
    assert "KeyError: 'a programming error', in step 1" in shown[at] and "KeyError: 'a programming error'" in shown[at + 4]
