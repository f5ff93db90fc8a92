"""How far the cells of a benchmark are, as their files and the queue say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.plan import runner_of
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import CellStatus
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.errors import InputError
from ipv2_bench.lease import NAME as LEASE
from ipv2_bench.lease import Holder

LAST_LINES = 5
"""Of what a failed cell left."""

QUEUE = {"PD": "queued", "R": "running", "CG": "ending", "CF": "starting", "S": "suspended", "PR": "preempted"}
"""Slurm's letters in words."""


@dataclass(frozen=True)
class _CellLine:
    """A cell in words.

    Attributes
    ----------
    state
        One of complete, running, stopped, failed, waiting and the queue's words.
    text
        How far it is and where.
    last
        The last lines of what a failed one left.
    """

    name: str
    state: str
    text: str
    last: tuple[str, ...] = ()


def status(config: Config, numbers: list[int] | None = None, progress: bool = True) -> tuple[str, bool]:
    """The cells of a benchmark, one line each, and whether one has failed.

    Parameters
    ----------
    config
        The benchmark.
    numbers
        Numbers of tables; all of the configuration's for ``None``.
    progress
        Show progress while the data are opened.

    Raises
    ------
    InputError
        When the configuration or the data are not usable. A queue that does not answer is left out, which a line says.
    """
    benchmark = Benchmark.open(config, load_tables(config, numbers), progress)
    cells = {spec.cell_id: spec for spec in benchmark.cells.values()}
    queued, left_out = _queued(config)
    lines = [_line(spec, queued.get(spec.cell_id, "")) for spec in cells.values()]
    counts = {state: sum(line.state == state for line in lines) for state in dict.fromkeys(line.state for line in lines)}
    width = max(len(line.name) for line in lines)
    shown = [f"{config.name}: " + ", ".join(f"{n} {state}" for state, n in counts.items()), *left_out]
    for line in lines:
        shown.append(f"{line.name.ljust(width)}  {line.state.ljust(9)} {line.text}".rstrip())
        shown += [f"    {text}" for text in line.last]
    return "\n".join(shown), "failed" in counts


def _queued(config: Config) -> tuple[dict[str, str], list[str]]:
    """What the queue says of each cell, and a line where it cannot be asked: the files are seen from more machines than it is."""
    try:
        return runner_of(config).queued(), []
    except InputError as error:
        return {}, [f"the queue is left out: {error}"]


def _line(spec: CellSpec, queue: str) -> _CellLine:
    if spec.complete:
        return _CellLine(spec.name, "complete", "")
    own, holder = CellStatus.read(spec.folder), Holder.read(spec.folder / LEASE)
    word = QUEUE.get(queue, queue.lower())
    if own is None:
        return _CellLine(spec.name, word or "waiting", "")
    if own.state == "failed" and not queue:
        return _CellLine(spec.name, "failed", own.message, _last(spec.folder / "error.log"))
    held = holder is not None and holder.ended is not True
    if own.state == "running" and (held or queue == "R"):
        job = f", job {own.job}" if own.job else ""
        return _CellLine(spec.name, "running", f"{_progress(own)}; process {own.process} on {own.machine}{job}{_age(own)}")
    behind = "a checkpoint" if any(spec.folder.rglob("last.ckpt")) else "its data"
    return _CellLine(spec.name, word or "stopped", f"goes on from {behind}; was at {_progress(own)}")


def _progress(own: CellStatus) -> str:
    left = own.seconds_left
    ends = "" if left is None else f", about {_duration(left)} left of it"
    return f"{own.stage} {own.step} of {own.steps}{ends}"


def _age(own: CellStatus) -> str:
    """How long ago the cell wrote its status, where that is long."""
    age = time.time() - own.written
    return f", {_duration(age)} ago" if age > 60 else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _last(log: Path) -> tuple[str, ...]:
    try:
        return tuple(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
    except OSError:
        return ()
