"""Cells as the tasks of job arrays of Slurm.

Slurm is asked for nothing but what is in its queue, so that it needs no accounting: what became of a task, its cell's files say.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ipv2_bench.benchmark.cells.progress import Display, display
from ipv2_bench.benchmark.cells.runners.runner import Failure, OthersCells, Runner
from ipv2_bench.benchmark.cells.runners.slurm_call import slurm_call
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import NAME as STATUS
from ipv2_bench.benchmark.cells.status import CellStatus
from ipv2_bench.errors import InputError, Submitted
from ipv2_bench.files import read_json, write_json, write_text
from ipv2_bench.fingerprint import PACKAGE
from ipv2_bench.lease import NAME as LEASE
from ipv2_bench.lease import Holder, Leases

TASK = "ipv2_bench.benchmark.cells.runners.slurm_task"
BOARD, LOGS = "board.json", "logs"

POLLS_S = (2.0, 20.0)
"""Seconds between two looks at the queue: the first, and the longest."""

SILENT_S = 900.0
"""Seconds for which Slurm may give no answer while cells are waited for."""

MOST_TASKS = 1000
"""Tasks of one array; Slurm's MaxArraySize is 1001 unless a site says otherwise."""


class Slurm(Runner):
    """Job arrays, a task for each cell, which goes on after the end of its time or the failure of its node.

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
        How long before the end of its time a task is told to stop; Slurm may do so up to a minute earlier.
    patience_seconds
        How long a task may be neither in the queue nor in the files that this machine sees, before its cell counts as failed.
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
        patience_seconds: int = 120,
        extra: Sequence[str] = (),
        detach: bool = False,
    ) -> None:
        for name, value, least in (("gpus", gpus, 0), ("cpus", cpus, 1), ("most", most, 0), ("grace_seconds", grace_seconds, 1)):
            if value < least:
                raise ValueError(f"{name} is {value}: expected {least} or more")
        self.partition, self.account, self.gpus, self.cpus, self.memory = partition, account, gpus, cpus, memory
        self.time, self.most, self.grace_seconds, self.detach = time, most, grace_seconds, detach
        self.patience_seconds = patience_seconds
        self.extra = (extra,) if isinstance(extra, str) else tuple(extra)

    def check(self, devices: int, on_gpu: bool) -> None:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.check`. Whether nodes have GPUs, ``run.at.gpus`` says."""
        name, given = ("gpus", self.gpus) if self.gpus else ("cpus", self.cpus)
        if devices > given:
            raise InputError(f"train.devices is {devices}, and run.at.{name} {given}: set run.at.{name}={devices}")

    def run(self, specs: Sequence[CellSpec], progress: bool = True) -> list[Failure]:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.run`."""
        if shutil.which("sbatch") is None:
            raise InputError("run.on=slurm needs the command sbatch: start it on a machine of the cluster, or set run.on=local")
        todo = [spec for spec in specs if not spec.complete]
        shown = display(len(specs), len(specs) - len(todo), progress)
        try:
            with Leases() as leases:
                return _Gathering(self, todo, OthersCells(leases, shown), shown).all()
        finally:
            shown.close()

    def queued(self) -> dict[str, str]:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.queued`.

        Raises
        ------
        InputError
            When Slurm does not answer.
        """
        boards = {path.parent.name: read_json(path)["cells"] for path in (self.folder / "slurm").glob(f"*/{BOARD}")}
        if not boards:
            return {}
        states: dict[str, str] = {}
        words = ("--me", "--all", "--noheader", "--array", f"--name={','.join(sorted(boards))}", "--format=%K|%t|%j")
        for line in slurm_call("squeue", *words).splitlines():
            task, state, name = (word.strip() for word in line.split("|", 2))
            cells = boards.get(name, [])
            if task.isdecimal() and int(task) < len(cells):
                states[cells[int(task)]] = state
        return states

    def submit(self, specs: Sequence[CellSpec]) -> str:
        """Queue some cells as one array; its name.

        Raises
        ------
        InputError
            When Slurm refuses it, with what it said.
        """
        name = f"ipv2-{secrets.token_hex(4)}"
        folder = self.folder / "slurm" / name
        (folder / LOGS).mkdir(parents=True)
        for k, spec in enumerate(specs):
            (spec.folder / STATUS).unlink(missing_ok=True)  # of an earlier failure
            write_text(folder / f"{k}.json", spec.model_dump_json(indent=1) + "\n")
        write_json(folder / BOARD, {"cells": [spec.cell_id for spec in specs], "path": sys.path})
        script = folder / "array.sh"
        write_text(script, self._script(folder))
        tasks = f"0-{len(specs) - 1}" + (f"%{self.most}" if self.most else "")
        # On the command line, where neither variables of the environment nor run.at.extra overrule them.
        own = {"job-name": name, "array": tasks, "signal": f"B:USR1@{self.grace_seconds}", "open-mode": "append"}
        own["output"] = f"{str(folder / LOGS).replace('%', '%%')}/%a.log"
        try:
            slurm_call("sbatch", "--parsable", "--requeue", *(f"--{key}={value}" for key, value in own.items()), str(script))
        except InputError:
            shutil.rmtree(folder)
            raise
        return name

    def _script(self, folder: Path) -> str:
        options = {
            "partition": self.partition,
            "account": self.account,
            "gres": f"gpu:{self.gpus}" if self.gpus else "",
            "cpus-per-task": str(self.cpus),
            "mem": self.memory,
            "time": self.time,
        }
        python, package = shlex.quote(sys.executable), shlex.quote(str(PACKAGE.parent))
        return "\n".join(
            [
                "#!/bin/bash",
                *(f"#SBATCH --{key}={value}" for key, value in options.items() if value),
                *(f"#SBATCH {line}" for line in self.extra),
                f'[ -x {python} ] || {{ echo "the node" $(hostname) "has no" {python}; exit 1; }}',
                f"export PYTHONPATH={package}${{PYTHONPATH:+:$PYTHONPATH}}",
                f'exec {python} -m {TASK} {shlex.quote(str(folder))} "$SLURM_ARRAY_TASK_ID"',
                "",
            ]
        )


@dataclass
class _Gathering:
    """Queues cells that nobody computes, waits for all of them, and shows how far they are."""

    runner: Slurm
    waiting: list[CellSpec]
    others: OthersCells
    shown: Display
    failures: list[Failure] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)  # cell → when it was last in the queue
    answered: float = field(default_factory=time.monotonic)

    def all(self) -> list[Failure]:
        """Wait for every cell; those that failed."""
        pause, longest = POLLS_S
        while self.waiting:
            queued = self._queued()
            if queued is not None:
                for spec in list(self.waiting):
                    self._look_at(spec, queued)
                names = self._submit_free(queued)
                if self.runner.detach:
                    raise Submitted(self._text(names, queued))
            if self.waiting:
                time.sleep(pause)
                pause = min(longest, 1.2 * pause)
        return self.failures

    def _queued(self) -> dict[str, str] | None:
        """What is in the queue; ``None`` where Slurm does not answer for a while, as when it is started anew."""
        try:
            queued = self.runner.queued()
        except InputError as error:
            if time.monotonic() - self.answered > SILENT_S or self.runner.detach:
                raise
            self.shown.note(str(error))
            return None
        self.answered = time.monotonic()
        return queued

    def _look_at(self, spec: CellSpec, queued: dict[str, str]) -> None:
        """Book a cell that is complete or has failed, and show one that runs."""
        now, status = time.monotonic(), CellStatus.read(spec.folder)
        if spec.complete:
            self.shown.finish(spec.name)
            self.waiting.remove(spec)
        elif spec.cell_id in queued:
            self.seen[spec.cell_id] = now
            if status is not None and status.state == "running":
                self.shown.update(spec.name, status.stage, status.step, status.steps)
        elif spec.cell_id in self.seen:
            failed = status is not None and status.state == "failed"
            if failed or now - self.seen[spec.cell_id] > self.runner.patience_seconds:
                message = status.message if failed and status is not None else self._without_a_word(spec)
                self.failures.append(Failure(spec.name, message))
                self.shown.fail(spec.name, message)
                self.waiting.remove(spec)

    def _submit_free(self, queued: dict[str, str]) -> list[str]:
        """Queue the cells that are in no queue and that no other run computes; the names of the jobs."""
        new = []
        for spec in [one for one in self.waiting if one.cell_id not in queued and one.cell_id not in self.seen]:
            _end_lease_of_task(spec)
            if self.others.claim(spec):
                new.append(spec)
            elif spec.complete:
                self.waiting.remove(spec)
        if new:  # another run may have queued some before it gave its leases back
            again = self._queued() or {}
            for spec in [one for one in new if one.cell_id in again]:
                self.seen[spec.cell_id] = time.monotonic()
                new.remove(spec)
        names = [self.runner.submit(new[k : k + MOST_TASKS]) for k in range(0, len(new), MOST_TASKS)]
        for spec in new:
            self.seen[spec.cell_id] = time.monotonic()
        for spec in self.waiting:
            self.others.leases.release(spec.folder)  # from now on the tasks in the queue hold them
        return names

    def _text(self, names: Sequence[str], queued: dict[str, str]) -> str:
        before = sum(spec.cell_id in queued for spec in self.waiting)
        job = f" as {', '.join(names)}" if names else ""
        return (
            f"{len(self.seen) - before} cells are queued{job}, {before} were before: ipv2-bench status with these settings shows "
            "them, and the same command without --detach gathers what they gave"
        )

    def _without_a_word(self, spec: CellSpec) -> str:
        log = _log_of(self.runner.folder / "slurm", spec)
        if log is None:
            return "its job ended without a word, as when it is cancelled before it begins"
        last = next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "nothing")
        return f"its job ended without a word, as when it is cancelled; the last that it printed, in {log}: {last[:300]}"


def _end_lease_of_task(spec: CellSpec) -> None:
    """Remove the lease of a task that is not in the queue any more: it has ended, on whatever machine it was."""
    status, holder = CellStatus.read(spec.folder), Holder.read(spec.folder / LEASE)
    if status is None or holder is None or not status.job:
        return
    if (status.machine, status.process) == (holder.machine, holder.process):
        (spec.folder / LEASE).unlink(missing_ok=True)


def _log_of(folder: Path, spec: CellSpec) -> Path | None:
    """The newest file with what a cell's tasks printed."""
    logs = []
    for board in folder.glob(f"*/{BOARD}"):
        cells = read_json(board)["cells"]
        if spec.cell_id in cells:
            logs.append(board.parent / LOGS / f"{cells.index(spec.cell_id)}.log")
    there = [log for log in logs if log.is_file()]
    return max(there, key=lambda log: log.stat().st_mtime) if there else None
