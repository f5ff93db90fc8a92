"""W&B runs are written offline, whole, once, without a trace of the machine, and read back with the SDK's own messages."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb

from ipv2_bench.benchmark.dashboard import ATTEMPTS, CellRun, publish_cell, publish_tables
from ipv2_bench.benchmark.dashboard_images import cell_panels, panels, sampler_states
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.denoisers.checkpoint import save_denoiser
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from tests.wandb_files import history, records

REPOSITORY = Path(__file__).parents[2]


def cell(folder: Path, steps: int = 12) -> Path:
    """A cell's folder as training leaves it."""
    folder.mkdir(parents=True)
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "epoch", "loss", "lr", "val_loss"])
        writer.writerows([[s, s // 5, 1 / s, 1e-3, 0.5 if s % 4 == 0 else ""] for s in range(1, steps + 1)])
    with (folder / "throughput.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "slices_per_s", "gpu_memory_mb"])
        writer.writerows([[s, 20.0 + s, ""] for s in range(4, steps + 1, 4)])
    torch.manual_seed(0)
    options = {"widths": [8, 16], "steps": 3}
    save_denoiser(FlowMatching(**options), folder / "model.safetensors", "fm", options, window_hu="-1000 400")
    return folder


@pytest.fixture
def run(phantom: SliceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CellRun:
    monkeypatch.chdir(tmp_path)
    folder = cell(Path("runs") / "cells" / "abc")
    test = np.arange(4)
    np.save(folder / "denoised.npy", np.asarray(phantom.normal[:4]))
    return CellRun(
        folder=folder,
        name="FM",
        run_id="abc",
        group="g",
        project="p",
        mode="offline",
        measured="m",
        config={"strategy": "IPv2"},
        metrics={"psnr_db": 20.0},
        draw=lambda: cell_panels(phantom, test, Window(), folder),
    )


def offline(root: Path) -> list[Path]:
    return sorted((root / "wandb").glob("offline-run-*"))


def test_what_an_offline_run_holds(run: CellRun, tmp_path: Path) -> None:
    root = Path("runs").absolute() / "wandb"
    publish_cell(run, root)
    (folder,) = offline(root)
    rows = history(folder)
    trained = [r for r in rows if "train/loss" in r]
    assert [r["_step"] for r in trained] == list(range(1, 13))
    assert trained[3]["val/loss"] == 0.5 and "val/loss" not in trained[4]
    assert trained[3]["train/slices_per_s"] == 24.0 and "train/gpu_memory_mb" not in trained[3]
    assert all(r["train/lr"] == 1e-3 for r in trained)
    shown = {key.removeprefix("images/").split(".")[0] for r in rows for key in r if key.startswith("images/")}
    for name in ("lung/uLDCT", "mediastinum/denoised", "zoom/truth", "lung/difference", "worst", "states"):
        assert name in shown
    kinds = [r.WhichOneof("record_type") for r in records(folder)]
    (artifact,) = [r.artifact for r in records(folder) if r.WhichOneof("record_type") == "artifact"] or [
        r.request.log_artifact.artifact
        for r in records(folder)
        if r.WhichOneof("record_type") == "request" and r.request.WhichOneof("request_type") == "log_artifact"
    ]
    assert artifact.type == "model" and artifact.manifest.contents[0].path == "model.safetensors"
    assert not Path(artifact.manifest.contents[0].local_path).is_absolute()
    assert kinds.count("run") >= 1
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path


def test_weights_outside_of_the_working_folder_stay_there(
    run: CellRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "of-mrs-doe" / "cell"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    publish_cell(replace(run, folder=cell(secret), draw=list), elsewhere / "wandb")
    assert all(b"of-mrs-doe" not in f.read_bytes() for f in elsewhere.rglob("*") if f.is_file())


def test_a_run_is_written_once_and_anew_when_it_was_cut_off(run: CellRun) -> None:
    root = Path("runs").absolute() / "wandb"
    publish_cell(run, root)
    (first,) = offline(root)
    publish_cell(run, root)
    assert offline(root) == [first]
    (run.folder / "wandb.json").unlink()  # killed before it was marked as complete
    (file,) = first.glob("*.wandb")
    file.write_bytes(file.read_bytes()[:3000])
    publish_cell(run, root)
    (second,) = offline(root)
    assert [r["_step"] for r in history(second) if "train/loss" in r] == list(range(1, 13))
    assert second.name.rpartition("-")[2] == first.name.rpartition("-")[2]


def test_a_run_that_got_no_file_is_written_anew(run: CellRun, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path("runs").absolute() / "wandb"
    missing = iter([True, False])

    def lose(live: object, *_: object) -> None:
        """W&B ends as if all were well, and its file is not there."""
        finish(live, *_)
        if next(missing):
            (file,) = root.glob("wandb/offline-run-*/*.wandb")
            file.unlink()

    finish = wandb.Run.__exit__
    monkeypatch.setattr(wandb.Run, "__exit__", lose)
    publish_cell(run, root)
    (folder,) = offline(root)
    assert [r["_step"] for r in history(folder) if "train/loss" in r] == list(range(1, 13))
    shutil.rmtree(folder)
    (run.folder / "wandb.json").unlink()
    missing = iter([True] * ATTEMPTS)
    with pytest.raises(InputError, match=f"no file for the run abc-.*{ATTEMPTS} times.*debug-internal.log"):
        publish_cell(run, root)
    assert next(missing, None) is None and not run.published
    assert any(root.glob("wandb/offline-run-*/logs/debug-internal.log"))


FIRST = """
import os, subprocess, sys, wandb
wandb.init(mode="offline", dir=".", settings=wandb.Settings(silent=True)).finish()
assert os.environ["WANDB_SERVICE"]
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[2]], cwd=sys.argv[1]).returncode)
"""
SECOND = """
from pathlib import Path
from ipv2_bench.benchmark.dashboard import CellRun, publish_cell
publish_cell(CellRun(Path("cell"), "FM", "other", "g", "p", "offline", "m"), Path("wandb"))
"""


def test_the_service_of_another_program_in_another_folder_is_not_used(run: CellRun, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run.folder, elsewhere / "cell")
    environment = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"} | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", FIRST, str(elsewhere), SECOND], cwd=tmp_path, env=environment, check=True)
    (folder,) = offline(elsewhere / "wandb")
    assert len([r for r in history(folder) if "train/loss" in r]) == 12
    assert any("model.safetensors" in str(r) for r in records(folder))


def test_tables_carry_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = Path("rows") / "a.json"
    row.parent.mkdir()
    row.write_text("{}")
    text = "label,denoiser,strategy,psnr_db,published_fid\nNDCT,FM,IPv2,20.5,39\n"
    publish_tables({"table1": text}, [row], "g", "p", "offline", Path("wandb").absolute())
    (folder,) = offline(Path("wandb").absolute())
    found = [r.summary for r in records(folder) if r.WhichOneof("record_type") == "summary"]
    assert any("psnr_db" in str(s) and "20.5" in str(s) for s in found)
    publish_tables({"table1": text}, [row], "g", "p", "offline", Path("wandb").absolute())
    assert len(offline(Path("wandb").absolute())) == 1
    row.write_text('{"changed": 1}')
    publish_tables({"table1": text}, [row], "g", "p", "offline", Path("wandb").absolute())
    assert len(offline(Path("wandb").absolute())) == 2


def test_the_worst_slices_come_first(phantom: SliceSet) -> None:
    truth = np.asarray(phantom.truth)
    denoised = truth.copy()
    for i, error in enumerate((0.01, 0.3, 0.05, 0.0, 0.2, 0.1)):
        denoised[i] += error
    sets = {"uLDCT": np.asarray(phantom.low), "NDCT": np.asarray(phantom.normal), "truth": truth}
    by_name = {p.name: p for p in panels(denoised, sets, np.array([0, 1]), Window(), None)}
    assert [c.split(":")[0] for c in by_name["worst"].captions] == [f"slice {i}" for i in (1, 4, 5, 2, 0, 3)]
    assert by_name["worst"].captions[0] == "slice 1: 420 HU from the truth"
    assert by_name["worst"].pictures[0].shape == (128, 3 * 128)
    assert "states" not in by_name
    grey = by_name["lung/difference"].pictures
    assert abs(int(np.median(grey[0])) - 127 - 0.01 * 1400 / 600 * 255) < 2


def test_the_road_of_the_sampler_ends_in_what_it_restores(tmp_path: Path, phantom: SliceSet) -> None:
    folder = cell(tmp_path / "c")
    road = sampler_states(folder / "model.safetensors")
    assert road is not None
    low = np.asarray(phantom.low[0])
    states = road(low)
    model = FlowMatching(widths=(8, 16), steps=3)
    assert len(states) == model.steps
    from ipv2_bench.denoisers.checkpoint import load_denoiser

    denoiser, _ = load_denoiser(folder / "model.safetensors")
    wanted = denoiser.restore(torch.from_numpy(low.copy())[None, None])[0, 0].numpy()
    assert np.abs(states[-1].clip(0, 1) - wanted).max() < 1e-6
    assert sampler_states(tmp_path / "none.safetensors") is None
