"""Cells as the tasks of one job array of Slurm.

Slurm is asked for nothing but what is in its queue, so that it needs no accounting: what became of a task, its cell's files say.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.cells.progress import display
from ipv2_bench.benchmark.cells.runners.runner import Failure, OthersCells, Runner, Submitted
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import CellStatus
from ipv2_bench.errors import InputError
from ipv2_bench.files import read_json, write_json, write_text
from ipv2_bench.lease import Leases

TASK = "ipv2_bench.benchmark.cells.runners.slurm_task"
BOARD, LOGS = "board.json", "logs"

POLL_S = 2.0
"""Seconds between two looks at the queue."""

UNSEEN_S = 20.0
"""Seconds for which a task may be in neither queue nor files, as between its end and what its node has written being seen."""


class Slurm(Runner):
    """One job array, a task for each cell, which Slurm starts again after a preemption, a failed node or at the end of its time.

    Before its time is over a task writes its checkpoint and queues itself again; it goes on with the same result.

    Parameters
    ----------
    partition, account
        Where it is queued and who pays; Slurm's own defaults where they are empty.
    gpus, cpus
        Of each task.
    memory
        Of each task, such as ``16G``; the partition's default where it is empty.
    time
        Longest run of a task, as Slurm writes it, such as ``12:00:00``; the partition's default where it is empty.
    most
        Most tasks at once; 0 for no limit.
    grace_seconds
        How long before the end of its time a task is told to stop.
    extra
        Further lines of ``#SBATCH``, such as ``--constraint=a100``.
    detach
        Return once the tasks are queued. The same command without it gathers what they gave.
    """

    def __init__(
        self,
        partition: str = "",
        account: str = "",
        gpus: int = 0,
        cpus: int = 4,
        memory: str = "",
        time: str = "",
        most: int = 0,
        grace_seconds: int = 120,
        extra: Sequence[str] = (),
        detach: bool = False,
    ) -> None:
        if cpus < 1 or gpus < 0 or most < 0 or grace_seconds < 1:
            given = f"gpus={gpus}, cpus={cpus}, most={most}, grace_seconds={grace_seconds}"
            raise ValueError(f"{given}: expected at least 0, 1, 0 and 1")
        self.partition, self.account, self.gpus, self.cpus, self.memory = partition, account, gpus, cpus, memory
        self.time, self.most, self.grace_seconds, self.detach = time, most, grace_seconds, detach
        self.extra = (extra,) if isinstance(extra, str) else tuple(extra)

    def run(self, specs: Sequence[CellSpec], progress: bool = True) -> list[Failure]:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.run`."""
        if shutil.which("sbatch") is None:
            raise InputError("run.on=slurm needs the command sbatch: start it on a machine of the cluster, or set run.on=local")
        todo = [spec for spec in specs if not spec.complete]
        queued = self.queued()
        shown = display(len(specs), len(specs) - len(todo), progress)
        try:
            with Leases() as leases:
                others = OthersCells(leases, shown)
                # Leases are not kept: from now on the tasks in the queue hold them.
                new = [spec for spec in todo if spec.cell_id not in queued and others.claim(spec)]
                todo = [spec for spec in todo if not spec.complete]
                for spec in new:
                    (spec.folder / "status.json").unlink(missing_ok=True)  # of an earlier failure
                name = self._submit(new) if new else ""
            if queued:
                shown.note(f"{len(queued)} cells are in the queue already")
            if self.detach:
                job = f" as {name}" if name else ""
                raise Submitted(
                    f"{len(new)} cells are queued{job}, {len(queued)} were before: ipv2-bench status with these settings shows "
                    "them, and the same command without --detach gathers what they gave"
                )
            return _Gathering(self, todo, shown).all()
        finally:
            shown.close()

    def queued(self) -> dict[str, str]:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.queued`.

        Raises
        ------
        InputError
            When Slurm does not answer.
        """
        boards = {path.parent.name: read_json(path) for path in sorted((self.folder / "slurm").glob(f"*/{BOARD}"))}
        if not boards:
            return {}
        states: dict[str, str] = {}
        for line in _call("squeue", "--noheader", "--array", "--format=%j|%K|%t").splitlines():
            name, task, state = (word.strip() for word in line.split("|"))
            cells = boards.get(name, {}).get("cells", [])
            if task.isdecimal() and int(task) < len(cells):
                states[cells[int(task)]] = state
        return states

    def _submit(self, specs: Sequence[CellSpec]) -> str:
        """Queue some cells; the name of their job."""
        name = f"ipv2-{secrets.token_hex(4)}"
        folder = self.folder / "slurm" / name
        (folder / LOGS).mkdir(parents=True)
        for k, spec in enumerate(specs):
            write_text(folder / f"{k}.json", spec.model_dump_json(indent=1) + "\n")
        write_json(folder / BOARD, {"cells": [spec.cell_id for spec in specs], "path": sys.path})
        script = folder / "array.sh"
        write_text(script, self._script(name, folder, len(specs)))
        _call("sbatch", "--parsable", str(script))
        return name

    def _script(self, name: str, folder: Path, tasks: int) -> str:
        options: dict[str, Any] = {
            "job-name": name,
            "array": f"0-{tasks - 1}" + (f"%{self.most}" if self.most else ""),
            "output": folder / LOGS / "%a.log",
            "open-mode": "append",
            "signal": f"B:USR1@{self.grace_seconds}",
            "partition": self.partition,
            "account": self.account,
            "gres": f"gpu:{self.gpus}" if self.gpus else "",
            "cpus-per-task": self.cpus,
            "mem": self.memory,
            "time": self.time,
        }
        lines = [f"#SBATCH --{key}={value}" for key, value in options.items() if value != ""]
        command = " ".join(shlex.quote(word) for word in (sys.executable, "-m", TASK, str(folder)))
        lines += ["#SBATCH --requeue", *(f"#SBATCH {line}" for line in self.extra)]
        return "\n".join(["#!/bin/bash", *lines, f'exec {command} "$SLURM_ARRAY_TASK_ID"', ""])


@dataclass
class _Gathering:
    """Waits for cells in the queue, and shows how far they are."""

    runner: Slurm
    waiting: list[CellSpec]
    shown: Any

    def all(self) -> list[Failure]:
        """Wait for every cell; those that failed."""
        failures: list[Failure] = []
        unseen: dict[str, float] = {}
        while self.waiting:
            queued = self.runner.queued()
            for spec in list(self.waiting):
                status = CellStatus.read(spec.folder)
                if spec.complete:
                    self.shown.finish(spec.name)
                elif spec.cell_id in queued:
                    unseen.pop(spec.cell_id, None)
                    if status is not None and status.state == "running":
                        self.shown.update(spec.name, status.stage, status.step, status.steps)
                    continue
                elif time.monotonic() - unseen.setdefault(spec.cell_id, time.monotonic()) < UNSEEN_S:
                    if status is None or status.state != "failed":
                        continue
                    failures.append(self._failed(spec, status.message))
                else:
                    logs = self.runner.folder / "slurm"
                    what = f"its job ended without a word, as when it is cancelled; what it printed is under {logs}"
                    failures.append(self._failed(spec, what))
                self.waiting.remove(spec)
            if self.waiting:
                time.sleep(POLL_S)
        return failures

    def _failed(self, spec: CellSpec, message: str) -> Failure:
        self.shown.fail(spec.name, message)
        return Failure(spec.name, message)


def _call(*words: str) -> str:
    """What one of Slurm's commands prints.

    Raises
    ------
    InputError
        When it fails, with what it said.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise InputError(f"{words[0]} failed: {said[-1]}; correct run.at, or see that the cluster answers")
    return done.stdout
