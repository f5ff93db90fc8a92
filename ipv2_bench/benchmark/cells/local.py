"""Cells in processes of their own, with progress bars; one that fails leaves the others alone."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from ipv2_bench.benchmark.cell import CellSpec, run_cell
from ipv2_bench.errors import InputError
from ipv2_bench.processes import worker_pool


@dataclass(frozen=True)
class Failure:
    """A cell that did not come to its end."""

    name: str
    message: str


def run_cells(specs: dict[str, CellSpec], processes: int, progress: bool = True) -> list[Failure]:
    """Run the cells that are not done.

    Parameters
    ----------
    specs
        Cells by the name to show.
    processes
        How many at once.
    progress
        Show bars: one for all cells, one for each that runs.

    Returns
    -------
    list of Failure
        Empty when every cell is complete.
    """
    todo = {name: spec for name, spec in specs.items() if not spec.done}
    if not todo:
        return []
    failures: list[Failure] = []
    messages = get_context("spawn").Queue()
    display = Display(len(specs), len(specs) - len(todo), progress)
    stop = threading.Event()
    listener = threading.Thread(target=_listen, args=(messages, display, stop), daemon=True)
    listener.start()
    attempts = dict.fromkeys(todo, 0)
    try:
        while todo:
            todo = _round(todo, min(processes, len(todo)), messages, display, failures, attempts)
            processes = 1  # after a death one at a time: a cell that always dies must not take its neighbour with it
    finally:
        stop.set()
        listener.join(timeout=2)
        display.close()
    return failures


def _round(
    todo: dict[str, CellSpec],
    processes: int,
    messages: Any,
    display: Display,
    failures: list[Failure],
    attempts: dict[str, int],
) -> dict[str, CellSpec]:
    """Run until all are done or a worker dies; what is then left to try again comes back."""
    pool = worker_pool(processes, _take, messages)
    waiting = list(todo)
    running: dict[Future, str] = {}
    left: dict[str, CellSpec] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                name = waiting[0]
                running[pool.submit(_work, name, todo[name])] = name
                attempts[name] += 1
                waiting.pop(0)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                message = _outcome(future)
                if message is None:
                    display.finish(name)
                elif message is _DIED and attempts[name] < 2:
                    left[name] = todo[name]  # whoever killed it may not have meant this cell
                else:
                    failures.append(Failure(name, message))
                    display.fail(name, message)
            if any(_broken(f) for f in done):
                raise BrokenProcessPool
    except BrokenProcessPool:
        left |= {n: todo[n] for n in [*running.values(), *waiting]}
        for name in running.values():
            attempts[name] -= 0 if attempts[name] < 2 else 1
        return left
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return {}


_DIED = "its process died without a word: out of memory, or killed"


def _broken(future: Future) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _outcome(future: Future) -> str | None:
    if _broken(future):
        return _DIED
    error = future.exception()
    return f"{type(error).__name__}: {error}" if error is not None else future.result()


_messages: Any = None
"""In a worker, the queue of its progress."""


def _take(messages: Any) -> None:
    global _messages
    _messages = messages
    messages.cancel_join_thread()  # progress is no reason to wait


def _work(name: str, spec: CellSpec) -> str | None:
    """Run a cell in a worker; the failure's message comes back."""

    def report(stage: str, step: int, total: int) -> None:
        _messages.put((name, stage, step, total))

    try:
        run_cell(spec, report)
    except InputError as error:
        return str(error)
    except Exception:
        spec.folder.mkdir(parents=True, exist_ok=True)
        (spec.folder / "error.log").write_text(traceback.format_exc())
        return traceback.format_exc(limit=-1).strip().splitlines()[-1] + f" (details in cell {spec.cell_id}, error.log)"
    return None


def _listen(messages: Any, display: Display, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            display.update(*messages.get(timeout=0.3))
        except queue.Empty:
            continue
        except (EOFError, OSError):
            return


class Display:
    """Progress bars of the cells."""

    def __init__(self, total: int, done: int, enabled: bool) -> None:
        from tqdm import tqdm

        self._tqdm, self._enabled = tqdm, enabled
        self._bars: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._all = tqdm(total=total, initial=done, desc="cells", unit="cell", disable=not enabled, position=0)

    def update(self, name: str, stage: str, step: int, total: int) -> None:
        """A running cell came on."""
        with self._lock:
            if not self._enabled:
                return
            if name not in self._bars:
                self._bars[name] = self._tqdm(total=total, desc=name, leave=False, position=len(self._bars) + 1)
            bar = self._bars[name]
            if bar.total != total:
                bar.reset(total=total)
            bar.set_description_str(f"{name} · {stage}", refresh=False)
            bar.n = step
            bar.refresh()

    def finish(self, name: str) -> None:
        """A cell is complete."""
        with self._lock:
            self._close(name)
            self._all.update(1)

    def fail(self, name: str, message: str) -> None:
        """A cell did not come to its end."""
        with self._lock:
            self._close(name)
            self._tqdm.write(f"failed: {name}: {message}")

    def close(self) -> None:
        """Take the bars away."""
        with self._lock:
            for name in list(self._bars):
                self._close(name)
            self._all.close()

    def _close(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()


def parallel_map(function: Callable, jobs: Sequence, processes: int) -> list:
    """``map`` over processes that do not outlive the program."""
    if processes <= 1 or len(jobs) < 2:
        return [function(job) for job in jobs]
    with worker_pool(min(processes, len(jobs))) as pool:
        return list(pool.map(function, jobs))
