"""What may not be written or read is one line with the path, nothing is removed, and the same command goes on once it may."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.program import EXPERIMENTS, LONGEST, ROOT, SMALL, run_here, without_times

WORDS = ("reproduce", "--config", "one.yaml", "--quiet", "wandb.mode=disabled", *SMALL)
CLOSED, UNREADABLE = 0o555, 0o000
DROP_FROM_BOUND, OVERRIDES = 24, (1, 2)
"""Linux's call that takes a right from a process and its children, and root's rights to pass over permissions."""


def run_without_rights(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Run ``ipv2-bench`` as a user for whom permissions count, whoever runs the tests."""

    def give_up() -> None:
        if os.geteuid() == 0:
            for right in OVERRIDES:
                ctypes.CDLL(None).prctl(DROP_FROM_BOUND, right, 0, 0, 0)

    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "IPV2_BENCH_CT": ""}
    command = [sys.executable, "-m", "ipv2_bench.cli", *words]
    return subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, timeout=LONGEST, check=False, preexec_fn=give_up
    )


@contextmanager
def permissions(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


def refused(done: subprocess.CompletedProcess, name: str) -> None:
    assert done.returncode == 2, (name, done.stdout, done.stderr)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ipv2-bench: ")]
    assert "Permission denied" in line and name in line, line
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete benchmark of one cell."""
    folder = tmp_path_factory.mktemp("complete")
    (folder / "one.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
    (folder / "table1.yaml").write_text("title: one\nrows:\n  - {denoiser: fm, strategy: IPv1}\n")
    run_here(folder, *WORDS)
    return folder


def copied(complete: Path, folder: Path, *without: str) -> Path:
    shutil.copytree(complete, folder, ignore=shutil.ignore_patterns(*without))
    return folder


@pytest.mark.parametrize(
    ("place", "more"),
    [
        (".", ()),
        ("runs/cache", ("data.seed=3",)),
        ("runs/smoke/cells", ("seeds=[7]",)),
        ("leaderboards/smoke/rows", ("seeds=[0,1]",)),
    ],
)
def test_a_folder_that_may_not_be_written(place: str, more: tuple[str, ...], complete: Path, tmp_path: Path) -> None:
    folder = copied(complete, tmp_path / "board", *(("runs", "leaderboards") if place == "." else ()))
    with permissions(folder / place, CLOSED):
        refused(run_without_rights(folder, *WORDS, *more), place.split("/")[0] if place != "." else "runs")


@pytest.mark.parametrize("name", ["low.npy", "denoised.npy"])
def test_a_file_that_may_not_be_read_is_not_removed(name: str, complete: Path, tmp_path: Path) -> None:
    folder = copied(complete, tmp_path / "board")
    (path,) = (folder / "runs").rglob(name)
    before = path.read_bytes()
    with permissions(path, UNREADABLE):
        refused(run_without_rights(folder, *WORDS), path.name)
    assert path.read_bytes() == before
    assert run_without_rights(folder, *WORDS).returncode == 0
    tables = [without_times(place / "leaderboards" / "smoke" / "table1.csv") for place in (complete, folder)]
    assert tables[0] == tables[1]


def test_weights_that_may_not_be_read_are_not_trained_again(complete: Path, tmp_path: Path) -> None:
    folder = copied(complete, tmp_path / "board", "denoised.npy")
    (path,) = (folder / "runs").rglob("model.safetensors")
    before = path.read_bytes()
    with permissions(path, UNREADABLE):
        done = run_without_rights(folder, *WORDS)
    assert done.returncode == 1, done.stderr
    assert "failed: FM · IPv1 · seed 0: PermissionError: [Errno 13] Permission denied" in done.stderr and path.name in done.stderr
    assert path.read_bytes() == before
