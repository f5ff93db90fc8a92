"""A task of the job array: computes one cell, and queues itself again where it has to stop before its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipv2_bench.benchmark.cells.spec import CellSpec

KILLED_S = 900.0
"""Seconds for which a task that was told to end waits for that, so that Slurm does not take it for complete."""


class Wishes:
    """What signals ask for: to stop, and whether to be queued again.

    Slurm sends USR1 before the end of the time, and USR2 where a site says so; both want the task to go on later. TERM comes with
    a cancellation, and with a preemption, after which Slurm itself queues it again.
    """

    def __init__(self) -> None:
        self._stop, self.again = False, False
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, number: int, _frame: object) -> None:
        self._stop = True
        self.again = self.again or number != signal.SIGTERM

    def stop(self) -> bool:
        """Whether to stop."""
        return self._stop


def main(folder: Path, task: int, wishes: Wishes) -> int:
    """Compute the cell with a number; 0 when it is complete or queued again, 1 when it failed."""
    from ipv2_bench.benchmark.cells.runners.slurm import BOARD
    from ipv2_bench.benchmark.cells.spec import CellSpec
    from ipv2_bench.benchmark.cells.status import StatusFile, Stopped
    from ipv2_bench.errors import cause_of
    from ipv2_bench.files import disk_error_text, read_json
    from ipv2_bench.streams import install

    install()
    board = read_json(folder / BOARD)
    sys.path += [place for place in board["path"] if place not in sys.path]
    cell_folder = folder.parents[1] / "cells" / board["cells"][task]
    job, stopped = os.environ.get("SLURM_JOB_ID", ""), False
    try:
        spec = _here(CellSpec.model_validate_json((folder / f"{task}.json").read_text(encoding="utf-8")))
        start = os.environ.get("SLURM_RESTART_COUNT", "0")
        print(f"{spec.name}: job {job} on {os.uname().nodename}, start {start}, {spec.accelerator}", flush=True)
        message = _compute(spec, wishes, job)
    except Stopped:
        stopped, message = True, None
    except OSError as error:
        message = disk_error_text(error)
        StatusFile(cell_folder, job).end("failed", message)
    except Exception as error:
        message = cause_of(error)
        StatusFile(cell_folder, job).end("failed", message)
    if stopped:
        return _stopped(cell_folder, folder / f"{task}.stamp", job, wishes)
    if message:
        print(message, flush=True)
    return 1 if message else 0


def _here(spec: CellSpec) -> CellSpec:
    """The cell with the device and the cores of this node, which the machine that queued it need not have."""
    import torch

    accelerator = spec.run.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK") or 1)
    threads = 1 if accelerator == "cpu" else max(1, cores // spec.train.devices)
    return spec.model_copy(update={"accelerator": accelerator, "threads": threads})


def _compute(spec: CellSpec, wishes: Wishes, job: str) -> str | None:
    """Compute a cell when nobody else does; why it failed, or ``None``."""
    from ipv2_bench.benchmark.cells.run import run_reported
    from ipv2_bench.benchmark.cells.status import Stopped
    from ipv2_bench.lease import POLL_S, Leases

    with Leases() as leases:
        while leases.take(spec.folder) is not None and not spec.complete:
            if wishes.stop():
                raise Stopped
            time.sleep(POLL_S)
        return None if spec.complete else run_reported(spec, lambda *_: None, wishes.stop, job)


def _stopped(cell: Path, stamp: Path, job: str, wishes: Wishes) -> int:
    """Queue the task again, unless it has come no further since it last did so; or wait for the end that was announced."""
    from ipv2_bench.benchmark.cells.status import StatusFile
    from ipv2_bench.files import write_text

    if not wishes.again:
        time.sleep(KILLED_S)
        return 1
    files = [path for path in sorted(cell.rglob("*")) if path.is_file() and path.name not in ("status.json", "lease.json")]
    got = "\n".join(f"{path.relative_to(cell)} {path.stat().st_mtime_ns}" for path in files)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == got:
        message = "it came no further within its time: raise run.at.time, well above run.at.grace_seconds"
        StatusFile(cell, job).end("failed", message)
        print(message, flush=True)
        return 1
    write_text(stamp, got)
    print("stopped behind its checkpoint, and queued again", flush=True)
    # With the number of the task: that of the array would start all of its tasks again.
    task = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    done = subprocess.run(["scontrol", "requeue", task], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"it could not be queued again ({done.stderr.strip()}): run the same command, and it goes on"
        StatusFile(cell, job).end("failed", message)
        print(message, flush=True)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    # Before anything is imported that takes long: a signal meanwhile would end the task.
    asked = Wishes()
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), asked))
