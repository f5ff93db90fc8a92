"""A task of the job array: computes one cell, and queues itself again where it has to stop before its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ipv2_bench.benchmark.cells.runners.slurm import BOARD
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import Stopped
from ipv2_bench.files import disk_error, read_json
from ipv2_bench.lease import POLL_S, Leases
from ipv2_bench.streams import install


def main(folder: Path, task: int) -> int:
    """Compute the cell with a number; 0 when it is complete or queued again, 1 when it failed."""
    install()
    wishes = _Wishes()
    board = read_json(folder / BOARD)
    sys.path += [place for place in board["path"] if place not in sys.path]
    spec = CellSpec.model_validate_json((folder / f"{task}.json").read_text(encoding="utf-8"))
    from ipv2_bench.benchmark.cells.run import run_reported

    job = os.environ.get("SLURM_JOB_ID", "")
    print(f"{spec.name}: job {job} on {os.uname().nodename}, start {os.environ.get('SLURM_RESTART_COUNT', '0')}", flush=True)
    with Leases() as leases:
        while leases.take(spec.folder) is not None and not wishes.stop():
            if spec.complete:
                return 0
            time.sleep(POLL_S)
        if spec.complete:
            return 0
        try:
            message = "" if wishes.stop() else run_reported(spec, lambda *_: None, wishes.stop, job)
        except Stopped:
            message = ""
        except OSError as error:
            print(f"{spec.name}: {disk_error(error)}", flush=True)
            return 1
    if wishes.stop() and not spec.complete:
        if wishes.again:
            print(f"{spec.name}: stopped behind its checkpoint, and queued again", flush=True)
            subprocess.run(["scontrol", "requeue", job], check=True)
        return 0
    if message:
        print(f"{spec.name}: {message}", flush=True)
    return 1 if message else 0


class _Wishes:
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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
