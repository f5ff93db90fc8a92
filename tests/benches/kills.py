"""A benchmark that is killed again and again: ``python -m tests.benches.kills``. Its tables are those of an undisturbed run."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.program import ROOT, SMALL, board, run, without_times

WORDS = ("reproduce", "--config", "board.yaml", "--quiet", "wandb.mode=disabled", "run.checkpoint_seconds=1", *SMALL)
DENOISERS = ("fm", "corediff", "cold_diffusion")


def begun(folder: Path) -> subprocess.Popen:
    """A run with a process group of its own."""
    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "IPV2_BENCH_CT": ""}
    command = [sys.executable, "-m", "ipv2_bench.cli", *WORDS]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=folder, env=own, start_new_session=True, **quiet)


class Killed:
    """A benchmark under kills: how often it was struck at what, and which cells were trained more than once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kills, self.moments = folder, 0, list[str]()
        self.trained: dict[Path, tuple[int, int]] = {}
        self.twice: set[Path] = set()

    def look(self) -> None:
        """Note the weights that are there; those of a cell are never written twice."""
        for path in (self.folder / "runs").rglob("model.safetensors"):
            stat = path.stat()
            now = (stat.st_ino, stat.st_mtime_ns)
            if self.trained.setdefault(path, now) != now:
                self.twice.add(path)

    def strike(self, process: subprocess.Popen, whole_group: bool) -> None:
        """Kill a run, with its workers or alone."""
        if process.poll() is not None:
            return
        done = len(list((self.folder / "runs").rglob("cost.json")))
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        self.kills += 1
        self.moments.append(f"{done} cells done")


def strike_all(killed: Killed, kills: int, at_once: int, longest: float, chance: random.Random) -> None:
    """Start runs, and kill one of them at random moments, until that many have been killed."""
    running = [begun(killed.folder) for _ in range(at_once)]
    try:
        while killed.kills < kills:
            time.sleep(chance.uniform(0.2, longest))
            if all(p.poll() is not None for p in running):
                break  # everything is computed
            which = chance.choice([k for k in range(at_once) if running[k].poll() is None])
            killed.strike(running[which], chance.random() < 0.5)
            killed.look()
            running[which] = begun(killed.folder)
    finally:
        for process in running:
            if process.poll() is None:
                killed.strike(process, True)
        killed.look()


def measure(kills: int, at_once: int, steps: int, seed: int) -> dict[str, Any]:
    """What became of a benchmark that was killed so often."""
    with tempfile.TemporaryDirectory() as name:
        whole = board(Path(name) / "whole", steps, DENOISERS)
        began = time.monotonic()
        run(whole, *WORDS)
        seconds = time.monotonic() - began
        chance, struck, boards = random.Random(seed), 0, 0
        equal, twice, moments = True, 0, list[str]()
        while struck < kills:
            folder = Path(name) / f"board-{boards}"
            shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("runs", "leaderboards"))
            killed = Killed(folder)
            strike_all(killed, kills - struck, at_once, 0.6 * seconds, chance)
            run(folder, *WORDS)
            killed.look()
            tables = [without_times(x / "leaderboards" / "smoke" / "table1.csv") for x in (whole, folder)]
            equal &= tables[0] == tables[1] and len(killed.trained) == 2 * len(DENOISERS)
            struck, boards, twice = struck + killed.kills, boards + 1, twice + len(killed.twice)
            moments += killed.moments
    return {
        "runs_at_once": at_once,
        "kills": struck,
        "boards": boards,
        "tables_equal": equal,
        "cells_trained_twice": twice,
        "killed_at": moments,
        "undisturbed_seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for at_once in (1, 2):
        print(measure(arguments.kills, at_once, arguments.steps, arguments.seed), flush=True)


if __name__ == "__main__":
    main()
