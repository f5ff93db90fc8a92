"""Cells in worker processes of this machine; one that fails leaves the others alone."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ipv2_bench.benchmark.cells.progress import Display, display
from ipv2_bench.benchmark.cells.run import run_cell
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.files import is_disk_error, write_text
from ipv2_bench.lease import POLL_S, Leases
from ipv2_bench.processes import shared_queue, worker_pool

ATTEMPTS = 2
"""Times that a cell is started when its process dies: whoever killed it may not have meant this cell."""

DIED = "its process died without a word: out of memory, or killed"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be completed."""

    name: str
    message: str


def run_cells(specs: Sequence[CellSpec], processes: int, progress: bool = True) -> list[Failure]:
    """Run the cells that are not complete. Those that another run computes are left to it, and waited for.

    Parameters
    ----------
    specs
        The cells.
    processes
        How many at once.
    progress
        Show progress, of all cells and of each that runs.

    Returns
    -------
    list of Failure
        Empty when every cell is complete.

    Raises
    ------
    OSError
        When the disk is full or gives out, which no other cell would escape.
    """
    cells = {spec.cell_id: spec for spec in specs}  # a variant that changes nothing is the same cell
    todo = {cell_id: spec for cell_id, spec in cells.items() if not spec.complete}
    if not todo:
        return []
    with shared_queue() as messages, Leases() as leases:
        shown = display(len(cells), len(cells) - len(todo), progress)
        stop = threading.Event()
        listener = threading.Thread(target=_listen, args=(messages, shown, stop), daemon=True)
        listener.start()
        runs = _Runs(shown, messages, leases, dict.fromkeys(todo, 0))
        try:
            while todo:
                todo = runs.until_a_death(todo, min(processes, len(todo)))
                processes = 1  # after a death one at a time: a cell that always dies must not take its neighbour with it
        finally:
            stop.set()
            listener.join(timeout=2)
            shown.close()
    return runs.failures


@dataclass
class _Runs:
    """Progress display, queue of progress messages, leases of cells, attempts by cell, and failures so far."""

    shown: Display
    messages: Any
    leases: Leases
    attempts: dict[str, int]
    failures: list[Failure] = field(default_factory=list)
    announced: set[str] = field(default_factory=set)

    def until_a_death(self, todo: dict[str, CellSpec], processes: int) -> dict[str, CellSpec]:
        """Run cells until all are done or a worker dies; the cells to try again."""
        pool = worker_pool(processes)
        waiting = list(todo)
        running: dict[Future, str] = {}
        again: dict[str, CellSpec] = {}
        try:
            while waiting or running:
                for cell in list(waiting):
                    if len(running) == processes:
                        break
                    if self._is_ours(todo[cell]):
                        running[pool.submit(_work, todo[cell], self.messages)] = cell
                        self.attempts[cell] += 1
                    elif not todo[cell].complete:
                        continue
                    waiting.remove(cell)
                if not running:
                    time.sleep(POLL_S if waiting else 0.0)
                    continue
                idle = waiting and len(running) < processes
                done, _ = wait(running, timeout=POLL_S if idle else None, return_when=FIRST_COMPLETED)
                for future in done:
                    cell = running.pop(future)
                    _raise_disk_error(future)
                    message, name = _outcome(future), todo[cell].name
                    if message is None:
                        self.shown.finish(name)
                    elif message is DIED and self.attempts[cell] < ATTEMPTS:
                        again[cell] = todo[cell]
                    else:
                        self.failures.append(Failure(name, message))
                        self.shown.fail(name, message)
                    self.leases.release(todo[cell].folder)
                if any(_is_dead(f) for f in done):
                    raise BrokenProcessPool
        except BrokenProcessPool:
            for cell in running.values():  # they died with their neighbour
                self.attempts[cell] -= 0 if self.attempts[cell] < ATTEMPTS else 1
            return again | {cell: todo[cell] for cell in [*running.values(), *waiting]}
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return {}

    def _is_ours(self, spec: CellSpec) -> bool:
        """Whether a cell is to be computed here; one that another run completes is shown as complete."""
        holder = self.leases.take(spec.folder)
        if holder is not None and str(holder) not in self.announced:
            self.announced.add(str(holder))
            self.shown.note(f"cells that another run ({holder}) computes are left to it")
        if spec.complete:
            self.leases.release(spec.folder)
            self.shown.finish(spec.name)
            return False
        return holder is None


def _raise_disk_error(future: Future) -> None:
    error = future.exception()
    if error is not None and is_disk_error(error):
        raise error


def _is_dead(future: Future) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _outcome(future: Future) -> str | None:
    """The message of a failed cell; ``None`` for a complete one."""
    if _is_dead(future):
        return DIED
    error = future.exception()
    return cause_of(error) if error is not None else future.result()


def _work(spec: CellSpec, messages: Any) -> str | None:
    """Run a cell in a worker; the failure's message, or ``None``."""
    report = partial(_report, messages, spec.name)
    try:
        run_cell(spec, report)
    except InputError as error:
        return str(error)
    except Exception as error:
        if is_disk_error(error):
            raise
        log = spec.folder / "error.log"
        remedy = "lower train.batch_size or run.eval_batch; " if "OutOfMemory" in type(error).__name__ else ""
        text = f"{cause_of(error)} ({remedy}all of it is in {log})"
        with suppress(OSError):
            write_text(log, traceback.format_exc())
        return text
    return None


def _report(messages: Any, name: str, stage: str, step: int, total: int) -> None:
    messages.put((name, stage, step, total))


def _listen(messages: Any, shown: Display, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            shown.update(*messages.get(timeout=0.3))
        except queue.Empty:
            continue
        except (EOFError, OSError):
            return


def parallel_map(function: Callable, jobs: Sequence, processes: int) -> list:
    """``[function(job) for job in jobs]`` over processes that end with the program."""
    if processes <= 1 or len(jobs) < 2:
        return [function(job) for job in jobs]
    with worker_pool(min(processes, len(jobs))) as pool:
        return list(pool.map(function, jobs))
