"""One cell, one run that computes it: leases that end with their holder, and two runs of a board at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ipv2_bench import lease
from ipv2_bench.lease import NAME, Holder, Leases
from tests.program import EXPERIMENTS, ROOT, SMALL, run, start, without_times

HOLD = """
import sys, time
from pathlib import Path
from ipv2_bench.lease import Leases
with Leases() as leases:
    assert leases.take(Path(sys.argv[1])) is None
    print("taken", flush=True)
    time.sleep(600)
"""


def holding(folder: Path) -> subprocess.Popen:
    """Another process that holds the lease of a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stdout.readline() == b"taken\n"
    return process


def elsewhere(folder: Path, token: str = "a") -> Path:
    """A lease of a process on another machine."""
    path = folder / NAME
    path.write_text(json.dumps({**Holder.own().__dict__, "token": token, "machine": "elsewhere"}))
    return path


def test_a_lease_is_taken_once_and_given_back(tmp_path: Path) -> None:
    with Leases() as ours, Leases() as others:
        assert ours.take(tmp_path) is None and ours.take(tmp_path) is None
        holder = others.take(tmp_path)
        assert holder is not None and holder.process == os.getpid() and str(holder) == f"process {os.getpid()}"
        ours.release(tmp_path)
        assert not list(tmp_path.iterdir())
        assert others.take(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    process = holding(tmp_path)
    with Leases() as leases:
        holder = leases.take(tmp_path)
        assert holder is not None and holder.process == process.pid
        process.kill()  # and not waited for: a dead process that its parent has not noticed counts as ended
        deadline = time.monotonic() + 60
        while (held := leases.take(tmp_path)) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert held is None
        assert Holder.read(tmp_path / NAME).process == os.getpid()
    process.wait()
    assert not list(tmp_path.iterdir())


def test_a_number_that_another_process_has_now_is_told_from_its_holder(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({**Holder.own().__dict__, "started": "1"}))
    with Leases() as leases:
        assert leases.take(tmp_path) is None


def test_the_lease_of_another_machine_is_kept_as_long_as_it_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = elsewhere(tmp_path)
    now = [0.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    with Leases() as leases:
        for _ in range(5):
            os.utime(path, ns=(0, int(1e9 * now[0])))  # by a clock of its own, which is years behind
            holder = leases.take(tmp_path)
            assert holder is not None and str(holder).endswith("on elsewhere")
            now[0] += 0.9 * lease.STALE_S
        assert leases.take(tmp_path) is not None  # its last touch has been seen, and 0.9 of the time has gone since
        now[0] += 0.2 * lease.STALE_S
        assert leases.take(tmp_path) is None


def test_of_many_that_find_a_holder_gone_one_takes_over(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({**Holder.own().__dict__, "started": "1"}))
    runs = [Leases() for _ in range(8)]
    taken, together = [], threading.Barrier(len(runs))

    def take(own: Leases) -> None:
        together.wait()
        for _ in range(50):
            if own.take(tmp_path) is None:
                taken.append(own)
                return

    threads = [threading.Thread(target=take, args=(own,)) for own in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    taken[0].release(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lease_that_was_taken_over_is_not_given_back(tmp_path: Path) -> None:
    with Leases() as leases:
        assert leases.take(tmp_path) is None
        path = elsewhere(tmp_path, token="theirs")
    assert Holder.read(path).token == "theirs"


def test_held_leases_are_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TOUCHED_S", 0.05)
    with Leases() as leases:
        leases.take(tmp_path)
        os.utime(tmp_path / NAME, (0, 0))
        deadline = time.monotonic() + 60
        while (tmp_path / NAME).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / NAME).stat().st_mtime > 0


WORDS = ("reproduce", "--config", "two.yaml", *SMALL)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration of four cells, and its complete run in ``whole``."""
    folder = tmp_path_factory.mktemp("two")
    names = ("fm", "corediff")
    lines = [f"  - {{denoiser: {name}, strategy: {strategy}}}" for name in names for strategy in ("IPv1", "IPv2")]
    (folder / "table1.yaml").write_text("title: two at once\nrows:\n" + "\n".join(lines) + "\n")
    text = (EXPERIMENTS / "smoke.yaml").read_text().replace("steps: 4,", "steps: 12,")
    (folder / "two.yaml").write_text(text + "tables: [table1.yaml]\n")
    shutil.copytree(folder, folder / "whole")
    run(folder / "whole", *WORDS, "wandb.mode=disabled")
    return folder


def test_two_runs_of_a_board_share_its_cells(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    shutil.copytree(board, folder, ignore=shutil.ignore_patterns("whole"))
    both = [start(folder, *WORDS) for _ in range(2)]
    ends = [process.communicate(timeout=900) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    computed = [int(out.split(" cells completed in")[0].split()[-1]) for out, _ in ends if " cells completed in" in out]
    lines = [line for _, err in ends for line in err.splitlines() if line.endswith("training: 12 of 12 steps")]
    assert len(lines) == len(set(lines)) == 4  # each cell was trained by one of them, and by that one once
    assert all(computed) and not list((folder / "runs").rglob(NAME))
    expected, got = (without_times(f / "leaderboards" / "smoke" / "table1.csv") for f in (board / "whole", folder))
    assert got == expected
    published = [f for f in (folder / "runs").rglob("offline-run-*") if any(f.glob("*.wandb"))]
    assert len(published) == 4 + 1


def test_the_cells_of_a_killed_run_are_taken_over_by_one_that_waits(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    shutil.copytree(board, folder, ignore=shutil.ignore_patterns("whole"))
    first = start(folder, *WORDS, "run.checkpoint_seconds=0", "wandb.mode=disabled")
    deadline = time.monotonic() + 600
    while not any((folder / "runs").rglob("last.ckpt")) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    second = start(folder, *WORDS, "wandb.mode=disabled")
    time.sleep(3.0)
    first.kill()
    first.communicate()
    _, err = second.communicate(timeout=900)
    assert second.returncode == 0, err
    expected, got = (without_times(f / "leaderboards" / "smoke" / "table1.csv") for f in (board / "whole", folder))
    assert got == expected
    assert not list((folder / "runs").rglob(NAME))
