"""The W&B runs of cells that are being computed: what a training logs arrives while it goes on.

They are followed through the files of the cells, so that it does not matter where a cell runs. What is kept offline is written
anew from its first step when a run goes on after a kill; what was sent is continued, and no step is sent twice. When a cell is
complete its run is written whole by :mod:`ipv2_bench.benchmark.views.wandb.publish`, under the same name.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.cells.training.live import live_rows
from ipv2_bench.benchmark.views.wandb.cell_run import CellRun, folds_of, steps_of
from ipv2_bench.benchmark.views.wandb.runs import close_run, open_run
from ipv2_bench.errors import cause_of
from ipv2_bench.lease import Leases

LOOKED_S = 5.0
"""Seconds between two looks at the cells' files."""


class Followed:
    """A cell whose training is followed."""

    def __init__(self, cell: CellRun) -> None:
        self.cell = cell
        self._run: Any = None  # before it has logged anything
        self._first = 0
        self._told: dict[str, int] = {}

    def look(self) -> None:
        """Log what is new; the run of a complete cell is closed."""
        steps: dict[int, dict[str, float]] = {}
        before = 0
        for prefix, folder in folds_of(self.cell.folder).items():
            rows, told = live_rows(folder), self._told.get(prefix, 0)
            # All but the last step, which a validation may still follow.
            upto = max([step for step, values in rows if "train/loss" in values][:-1], default=0)
            for step, values in rows:
                if told < step <= upto:
                    named = {f"{prefix}{key}": value for key, value in values.items()}
                    steps.setdefault(before + step, {}).update(named)
            self._told[prefix] = max(told, upto)
            before += steps_of(folder) or self._told[prefix]  # W&B's steps go on where those of the fold before ended
        if steps and self._run is None:
            self._open()
        for step, values in sorted(steps.items()):
            if step >= self._first:
                self._run.log(values, step=step)
        if self._run is not None and (self.cell.folder / "cost.json").exists():
            self.end()

    def _open(self) -> None:
        cell = self.cell
        self._run = open_run(cell.run_id, cell.destination, job_type="cell", name=cell.name, config=cell.config, tags=cell.tags)
        self._first = int(self._run.step)  # of a run that goes on: the next step that is not there

    def end(self, failure: Failure | None = None) -> None:
        """Close the run, with an alert where the cell has failed."""
        if failure is not None and self._run is None:
            self._open()
        if self._run is not None:
            if failure is not None:
                self._run.alert(f"{failure.name} failed"[:63], failure.message)
            close_run(self._run, self.cell.run_id, self.cell.destination, failure is not None)
            self._run = None


class Following:
    """All cells of a benchmark that are not complete, followed by a thread. Trouble with W&B ends it with one line on stderr."""

    def __init__(self, cells: Sequence[CellRun]) -> None:
        self.cells = {cell.name: Followed(cell) for cell in cells}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def end(self, failures: Sequence[Failure]) -> None:
        """Stop following, and close the runs."""
        self._stop.set()
        self._thread.join()
        by_name = {failure.name: failure for failure in failures}
        self._try(lambda name, cell: cell.end(by_name.get(name)))

    def _follow(self) -> None:
        while not self._stop.wait(LOOKED_S):
            if not self._try(lambda _, cell: cell.look()):
                return

    def _try(self, step: Callable[[str, Followed], None]) -> bool:
        try:
            for name, cell in self.cells.items():
                step(name, cell)
        except Exception as error:  # whatever W&B, its service or the network raises
            print(f"ipv2-bench: W&B does not follow the trainings ({cause_of(error)}); they go on", file=sys.stderr)
            self.cells.clear()
            return False
        return True


@contextmanager
def following(cells: Sequence[CellRun]) -> Iterator[list[Failure]]:
    """Follow the trainings of some cells; the block puts those that failed into the list that it is given."""
    failures: list[Failure] = []
    with Leases() as leases:
        # Of two runs of a board one follows: a second one would begin the same files anew.
        if not cells or leases.take(cells[0].destination.root / "live") is not None:
            yield failures
            return
        followed = Following(cells)
        followed.start()
        try:
            yield failures
        finally:
            followed.end(failures)
