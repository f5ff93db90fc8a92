"""A stored file that is cut off, emptied or changed counts as absent: the next run makes it anew and ends in the same tables."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench.benchmark.cells.training.train import _refuse_unusable
from ipv2_bench.benchmark.views.wandb.cell_run import _history
from ipv2_bench.cli import main
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.shared.checkpoint import read_checkpoint
from ipv2_bench.errors import InputError
from ipv2_bench.stored import present
from tests.program import EXPERIMENTS, SMALL, run_here, without_times

WORDS = ("reproduce", "--config", "spoiled.yaml", "--quiet", *SMALL, "denoisers.fm={widths: [8,16], steps: 2, dropout: 0.0}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "one.yaml").write_text("title: one row\nrows:\n  - {denoiser: fm, strategy: IPv2}\n")
    text = (EXPERIMENTS / "smoke.yaml").read_text()
    (folder / "spoiled.yaml").write_text(text + "tables: [one.yaml]\n")
    run_here(folder, *WORDS)
    return folder


CACHE, CELL, LABEL = "runs/cache/*/", "runs/smoke/cells/*/", "runs/smoke/labels/*"
GROUPS = {
    "slices": (
        CACHE + "low.npy", CELL + "cost.json", CELL + "training_cost.json", LABEL + ".npy", "runs/smoke/rows/*.json",
        CELL + "wandb.json",
    ),
    "index": (CACHE + "index.json", CELL + "denoised.npy", "leaderboards/smoke/rows/*.json"),
    "derived": (
        CACHE + "mask-*.npy", CACHE + "calibration-*.json", CACHE + "integrals-*.npy", CACHE + "features/*.npz",
        CELL + "model.safetensors", CELL + "cost.json", CELL + "measures-*.npz", LABEL + ".npz", "runs/smoke/*-picture.json",
        "leaderboards/smoke/pictures.json",
    ),
}  # fmt: skip
"""Kinds of files that are spoiled in one run: none hides another, and all that a run keeps are among them."""


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def change(path: Path) -> None:
    """One byte in the middle, as a bad disk does; in JSON a digit, so that it stays JSON."""
    data = bytearray(path.read_bytes())
    places = [i for i, c in enumerate(data) if path.suffix != ".json" or chr(c) in "123456"]
    at = places[len(places) // 2]
    data[at] = data[at] + 1 if path.suffix == ".json" else data[at] ^ 0x55
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("spoil", [halve, empty])
@pytest.mark.parametrize("group", GROUPS)
def test_spoiled_files_are_made_anew(
    group: str, spoil, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    spoiled = [file for pattern in GROUPS[group] for file in sorted(folder.glob(pattern))]
    assert len(spoiled) >= len(GROUPS[group])
    for file in spoiled:
        spoil(file)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main([*WORDS]) == 0
    expected, got = (without_times(f / "leaderboards" / "smoke" / "one.csv") for f in (whole, folder))
    assert got == expected
    for made in spoiled:
        path = whole / made.relative_to(folder)
        assert made.suffix != ".npy" or made.read_bytes() == path.read_bytes()
        assert made.stat().st_size > 0.9 * path.stat().st_size


def test_all_that_a_run_keeps_is_among_them(whole: Path) -> None:
    kinds = (".npy", ".npz", ".json", ".safetensors")
    kept = {path for path in whole.rglob("*") if path.suffix in kinds and "wandb" not in path.parent.as_posix()}
    arrays = {path for name in ("normal", "truth", "nodules") for path in whole.glob(f"{CACHE}{name}.npy")}
    assert kept == arrays | {path for patterns in GROUPS.values() for pattern in patterns for path in whole.glob(pattern)}


@pytest.mark.parametrize("spoil", [halve, empty, change])
@pytest.mark.parametrize(
    "pattern",
    [CACHE + "*.npy", CACHE + "features/*", CACHE + "*.json", CELL + "*.np?", CELL + "*.json", CELL + "*.safetensors", LABEL],
)
def test_each_of_them_tells_that_it_is_spoiled(
    pattern: str, spoil, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = sorted(whole.glob(pattern))
    assert files
    for file in files:
        read = read_checkpoint if file.suffix == ".safetensors" else None
        assert present(file, read)
        copy = tmp_path / file.name
        copy.write_bytes(file.read_bytes())
        spoil(copy)
        caplog.clear()
        assert not present(copy, read) and not copy.exists()
        assert f"{copy} is cut off or was changed since it was written" in caplog.text


def test_an_array_without_a_seal_is_whole_where_its_length_says_so(tmp_path: Path) -> None:
    """As earlier versions wrote it."""
    path = tmp_path / "a.npy"
    np.save(path, np.arange(12.0))
    assert present(path)
    path.write_bytes(path.read_bytes() + b"\0")
    assert not present(path)


CURVES = ("history.csv", "throughput.csv", "samples.csv")


@pytest.mark.parametrize(("name", "spoil"), [("history.csv", empty), *((name, halve) for name in CURVES)])
def test_a_spoiled_curve_is_named(name: str, spoil, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    shutil.copytree(next(whole.glob(CELL)), folder)
    (folder / "samples.csv").write_text("step,psnr_db\n2,21.5\n3,22\n4,22.5\n")  # as a longer training leaves it
    assert [step for step, _ in _history(folder)] == [1, 2, 3, 4]
    spoil(folder / name)
    with pytest.raises(InputError, match=r"history\.csv, or throughput\.csv or samples\.csv beside it, is cut off: remove"):
        list(_history(folder))
    for path in map(folder.joinpath, CURVES):
        path.unlink()
    assert list(_history(folder)) == []


@pytest.mark.parametrize("spoil", [halve, empty])
def test_a_spoiled_checkpoint_is_named(spoil, tmp_path: Path) -> None:
    checkpoint = tmp_path / "last.ckpt"
    denoiser = FlowMatching(widths=(8, 16))
    torch.save({"state_dict": denoiser.state_dict()}, checkpoint)
    _refuse_unusable(checkpoint, denoiser)
    spoil(checkpoint)
    with pytest.raises(InputError, match=rf"^the checkpoint {re.escape(str(checkpoint))} is cut off or none .*: remove it, and"):
        _refuse_unusable(checkpoint, denoiser)
