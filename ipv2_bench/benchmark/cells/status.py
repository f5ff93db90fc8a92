"""What a cell is at, in a file of its folder, so that it can be seen from any machine that sees the folder."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ipv2_bench.benchmark.cells.progress import stage_kind
from ipv2_bench.files import write_text

NAME = "status.json"
WRITTEN_S = 2.0
"""Least seconds between two writes of a running cell."""

Stop = Callable[[], bool]
"""Says whether a cell is to write its checkpoint and to stop."""


class Stopped(Exception):
    """A cell was asked to stop, and did so; it goes on from its checkpoint."""


def never() -> bool:
    """Never asks a cell to stop."""
    return False


State = Literal["running", "stopped", "failed"]


class CellStatus(BaseModel):
    """What an incomplete cell is at; a complete one has no such file.

    Attributes
    ----------
    state
        ``stopped``: it wrote its checkpoint and waits to be started again.
    stage, step, steps
        How far it is.
    machine, process, job
        Where it runs; ``job`` of the queue, empty without one.
    stage_since, first_step
        When this stage began here, in seconds since 1970 by that machine's clock, and at which of its steps.
    written
        When this was written, by that clock.
    message
        Why it failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State
    stage: str = ""
    step: int = 0
    steps: int = 0
    machine: str = ""
    process: int = 0
    job: str = ""
    stage_since: float = 0.0
    first_step: int = 0
    written: float = 0.0
    message: str = ""

    @classmethod
    def read(cls, folder: Path) -> CellStatus | None:
        """The status in a cell's folder; ``None`` where there is none that can be read."""
        try:
            return cls.model_validate_json((folder / NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    @property
    def seconds_left(self) -> float | None:
        """Of its stage, at the pace so far; ``None`` where that is not known."""
        done, elapsed = self.step - self.first_step, self.written - self.stage_since
        return elapsed / done * (self.steps - self.step) if done > 0 and elapsed > 0 else None


class StatusFile:
    """Writes the status of a cell that runs in this process; call it with stage, step and number of steps."""

    def __init__(self, folder: Path, job: str = "") -> None:
        self.folder = folder
        self._own = CellStatus(state="running", machine=socket.gethostname(), process=os.getpid(), job=job)
        self._due = 0.0

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Write what the cell is at, if it is time."""
        kind, now = stage_kind(stage), time.time()
        if kind != self._own.stage:
            self._own = self._own.model_copy(update={"stage": kind, "stage_since": now, "first_step": step})
            self._due = 0.0
        self._own = self._own.model_copy(update={"step": step, "steps": steps, "written": now})
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + WRITTEN_S
            self._write()

    def end(self, state: State | None = None, message: str = "") -> None:
        """Write how the cell ended; ``None``: it is complete."""
        if state is None:
            (self.folder / NAME).unlink(missing_ok=True)
            return
        self._own = self._own.model_copy(update={"state": state, "message": message, "written": time.time()})
        self._write()

    def _write(self) -> None:
        with suppress(OSError):  # a status is no result: it never ends the work
            write_text(self.folder / NAME, self._own.model_dump_json() + "\n")
