"""The W&B runs of cells that are being computed: what a training logs arrives while it goes on.

They are followed through the files of the cells, so that it does not matter where a cell runs. What is kept offline is written
anew from its first step when a run goes on after a kill; what was sent is continued, and no step is sent twice. When a cell is
complete its run is written whole by :mod:`ipv2_bench.benchmark.views.wandb.publish`, under the same name.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.cells.training.live import live_rows, picture_of
from ipv2_bench.benchmark.views.wandb.cell_run import SAMPLE, CellRun, as_image, folds_of, steps_of
from ipv2_bench.benchmark.views.wandb.runs import close_run, open_run
from ipv2_bench.errors import cause_of
from ipv2_bench.lease import Leases

LOOKED_S = 5.0
"""Seconds between two looks at the cells' files."""


class _Fold:
    """What a training has logged and what of it has been passed on."""

    def __init__(self) -> None:
        self._begin, self._told = 0, 0
        self._waiting: dict[int, dict[str, float]] = {}

    def news(self, folder: Path, last: bool) -> list[tuple[int, dict[str, float]]]:
        """Steps that were not passed on before; without the last one, which a validation may still follow, unless ``last``."""
        rows, self._begin = live_rows(folder, self._begin)
        for step, values in rows:
            if step > self._told:
                self._waiting.setdefault(step, {}).update(values)
        complete = sorted(self._waiting)[: None if last else -1]
        self._told = max([self._told, *complete])
        return [(step, self._waiting.pop(step)) for step in complete]

    @property
    def steps(self) -> int:
        """Steps that were passed on."""
        return self._told


PSNR = "val/psnr_db"
"""What is logged of a step behind which a validation slice was denoised."""


def _picture(folder: Path, step: int) -> dict[str, Any]:
    """The picture of the slice that was denoised behind a step."""
    path = picture_of(folder, step)
    return {SAMPLE: as_image(path)} if path.exists() else {}


class Followed:
    """A cell whose training is followed."""

    def __init__(self, cell: CellRun) -> None:
        self.cell = cell
        self._run: Any = None  # before it has logged anything
        self._first, self._complete = 0, False
        self._folds: dict[str, _Fold] = {}

    def look(self, last: bool = False) -> None:
        """Log what is new; the run of a complete cell is closed. ``last``: nothing more will be logged."""
        if self._complete:
            return
        self._complete = (self.cell.folder / "cost.json").exists()
        last, before = last or self._complete, 0
        for prefix, folder in folds_of(self.cell.folder).items():
            fold = self._folds.setdefault(prefix, _Fold())
            for step, values in fold.news(folder, last):
                own = {**values, **_picture(folder, step)} if PSNR in values else values
                self._log(before + step, {f"{prefix}{key}": value for key, value in own.items()})
            before += steps_of(folder) or fold.steps  # W&B's steps go on where those of the fold before ended
        if self._complete:
            self.close()

    def _log(self, step: int, values: dict[str, Any]) -> None:
        if self._run is None:
            self._open()
        if step >= self._first:
            self._run.log(values, step=step)

    def _open(self) -> None:
        cell = self.cell
        self._run = open_run(cell.run_id, cell.destination, job_type="cell", name=cell.name, config=cell.config, tags=cell.tags)
        self._first = int(self._run.step)  # of a run that goes on: the next step that is not there

    def end(self, failure: Failure | None = None) -> None:
        """Log the last steps and close the run, with an alert where the cell has failed."""
        self.look(last=True)
        if failure is not None:
            if self._run is None:
                self._open()
            self._run.alert(f"{failure.name} failed"[:63], failure.message)
        self.close(failure is not None)

    def close(self, failed: bool = False) -> None:
        """Close the run as it is."""
        if self._run is not None:
            run, self._run = self._run, None
            close_run(run, self.cell.run_id, self.cell.destination, failed)


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
            report_not_followed(error)
            for cell in self.cells.values():
                with suppress(Exception):
                    cell.close()
            self.cells.clear()
            return False
        return True


def report_not_followed(error: Exception) -> None:
    """Say why nothing arrives on W&B while trainings go on."""
    print(f"ipv2-bench: W&B does not follow the trainings ({cause_of(error)}); they go on", file=sys.stderr)


@contextmanager
def following(cells: Sequence[CellRun]) -> Iterator[list[Failure]]:
    """Follow the trainings of some cells; the block puts those that failed into the list that it is given."""
    failures: list[Failure] = []
    with Leases() as leases:
        if not cells or not _alone(leases, cells[0].destination.root / "live"):
            yield failures
            return
        followed = Following(cells)
        followed.start()
        try:
            yield failures
        finally:
            followed.end(failures)


def _alone(leases: Leases, folder: Path) -> bool:
    """Whether no other run of the board follows its cells: a second one would begin the same files anew."""
    try:
        return leases.take(folder) is None
    except OSError as error:
        report_not_followed(error)
        return False
