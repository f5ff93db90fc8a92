"""Cells as tasks of a real Slurm: whatever happens to them, the tables are those of an undisturbed run on this machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.program import LONGEST, SMALL, board, run, start, without_times
from tests.slurm_daemon import Slurm, missing, running

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=f"a Slurm of one's own: {missing()}")]

WORDS = ("reproduce", "--config", "board.yaml", "wandb.mode=disabled", *SMALL)
ON_SLURM = ("run.on=slurm", "run.at.cpus=1", "run.at.patience_seconds=15", "run.checkpoint_seconds=1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with running(tmp_path_factory.mktemp("slurm")) as one:
        yield one


def lines(folder: Path) -> list[dict[str, str]]:
    return without_times(folder / "leaderboards" / "smoke" / "table1.csv")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cells, run on this machine."""
    folder = board(tmp_path_factory.mktemp("short") / "local", 12, ("fm", "corediff", "cold_diffusion"))
    run(folder, *WORDS)
    return folder


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cells that train long enough to be stopped, run on this machine."""
    folder = board(tmp_path_factory.mktemp("long") / "local", 500, ("fm",))
    run(folder, *WORDS)
    return folder


def copied(whole: Path, folder: Path) -> Path:
    """A folder with the same benchmark and its slices, and nothing computed."""
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("leaderboards", "smoke"))
    return folder


def wait_until(there: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until something is the case, while a process runs."""
    deadline = time.monotonic() + LONGEST
    while not there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()


def ended(process: subprocess.Popen, code: int = 0) -> str:
    """What a process that has ended printed on standard error."""
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == code, err[-3000:]
    return err


def logs(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("runs/smoke/slurm/*/logs/*.log")))


def trained(folder: Path) -> bool:
    """Whether a training is between its first checkpoint and its end."""
    return any((folder / "runs").rglob("last.ckpt"))


def test_a_board_goes_through_an_array_and_is_gathered(slurm: Slurm, short: Path, tmp_path: Path) -> None:
    folder = copied(short, tmp_path / "board")
    held = (*ON_SLURM, "run.at.extra=[--hold]")
    done = run(folder, *WORDS, *held, "--detach", **slurm.environment)
    assert "6 cells are queued as ipv2-" in done.stdout and "0 were before" in done.stdout
    shown = run(folder, "status", *WORDS[1:], *held, **slurm.environment).stdout.splitlines()
    assert shown[0] == "smoke: 6 queued" and len(shown) == 7 and shown[1].startswith("FM · IPv1 · seed 0")
    again = run(folder, *WORDS, *held, "--detach", **slurm.environment)
    assert "0 cells are queued, 6 were before" in again.stdout  # none twice
    for job in slurm.call("squeue", "--noheader", "--array", "--format=%i").split():
        slurm.call("scontrol", "release", job)
    ended(start(folder, *WORDS, *ON_SLURM, **slurm.environment))
    assert lines(folder) == lines(short)
    assert logs(folder).count(", start 0, cpu") == 6
    assert "6 complete" in run(folder, "status", *WORDS[1:], *ON_SLURM, **slurm.environment).stdout
    assert not any(path.name in ("lease.json", "status.json") for path in (folder / "runs").rglob("*.json"))


def test_cancelled_cells_are_named_and_go_on(slurm: Slurm, long: Path, tmp_path: Path) -> None:
    folder = copied(long, tmp_path / "board")
    process = start(folder, *WORDS, *ON_SLURM, **slurm.environment)
    wait_until(lambda: trained(folder), process)
    slurm.call("scancel", "--user=root")
    err = ended(process, code=1)
    assert "its job ended without a word, as when it is cancelled" in err
    ended(start(folder, *WORDS, *ON_SLURM, **slurm.environment))
    assert lines(folder) == lines(long)


def test_a_signal_before_the_end_of_the_time_queues_a_cell_again(slurm: Slurm, long: Path, tmp_path: Path) -> None:
    folder = copied(long, tmp_path / "board")
    process = start(folder, *WORDS, *ON_SLURM, **slurm.environment)
    wait_until(lambda: trained(folder), process)
    for name in slurm.call("squeue", "--noheader", "--array", "--states=R", "--format=%i").split():
        slurm.call("scancel", "--signal=USR1", "--batch", name)
    ended(process)
    assert lines(folder) == lines(long)
    assert "stopped behind its checkpoint, and queued again" in logs(folder) and ", start 1" in logs(folder)


def test_a_time_limit_that_strikes(slurm: Slurm, tmp_path: Path) -> None:
    steps, names = 1500, ("fm",)
    local = board(tmp_path / "local", steps, names)
    (local / "table1.yaml").write_text("title: one\nrows:\n  - {denoiser: fm, strategy: IPv1}\n")
    folder = copied(local, tmp_path / "board")
    process = start(folder, *WORDS, *ON_SLURM, "run.at.time=1", "run.at.grace_seconds=30", **slurm.environment)
    run(local, *WORDS)
    ended(process)
    assert lines(folder) == lines(local)
    assert "queued again" in logs(folder)


def test_a_node_that_fails(slurm: Slurm, long: Path, tmp_path: Path) -> None:
    folder = copied(long, tmp_path / "board")
    process = start(folder, *WORDS, *ON_SLURM, **slurm.environment)
    wait_until(lambda: trained(folder), process)
    slurm.kill_node()
    slurm.call("scontrol", "update", "nodename=localhost", "state=down", "reason=test")
    time.sleep(2.0)
    slurm.start_node()
    slurm.call("scontrol", "update", "nodename=localhost", "state=resume", check=False)
    ended(process)
    assert lines(folder) == lines(long)


def test_what_slurm_refuses_is_one_line(slurm: Slurm, short: Path, tmp_path: Path) -> None:
    folder = copied(short, tmp_path / "board")
    done = run(folder, *WORDS, *ON_SLURM, "run.at.partition=nowhere", code=2, **slurm.environment)
    assert "sbatch failed: sbatch: error: Batch job submission failed: Invalid partition name specified" in done.stderr
    done = run(folder, *WORDS, *ON_SLURM, "run.at.partitoin=x", code=2, **slurm.environment)
    assert "run.on=slurm has no option 'partitoin': did you mean partition?" in done.stderr
    done = run(folder, *WORDS, "run.on=slurn", code=2)
    assert "run.on 'slurn' is unknown: did you mean slurm?" in done.stderr
    nowhere = {"PATH": "/nowhere"}
    done = run(folder, *WORDS, *ON_SLURM, code=2, **nowhere)
    assert "run.on=slurm needs the command sbatch" in done.stderr
    queue = folder / "runs" / "smoke" / "slurm" / "ipv2-0" / "board.json"
    queue.parent.mkdir(parents=True)
    queue.write_text('{"cells": [], "path": []}')
    heading, left_out, *_ = run(folder, "status", *WORDS[1:], *ON_SLURM, **nowhere).stdout.splitlines()
    assert heading == "smoke: 6 waiting"
    assert left_out.startswith("the queue is left out: squeue does not answer")
    done = run(folder, *WORDS, "--detach", code=2)
    assert "--detach is for cells in a queue: set run.on=slurm" in done.stderr
