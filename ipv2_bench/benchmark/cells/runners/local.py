"""Cells in worker processes of this machine; one that fails leaves the others alone."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ipv2_bench.benchmark.cells.plan import gpus
from ipv2_bench.benchmark.cells.progress import Display, display
from ipv2_bench.benchmark.cells.run import run_reported
from ipv2_bench.benchmark.cells.runners.runner import Failure, OthersCells, Runner
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import StatusFile
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.files import is_disk_error
from ipv2_bench.lease import POLL_S, Leases
from ipv2_bench.processes import shared_queue, worker_pool

ATTEMPTS = 2
"""Times that a cell is started when its process dies: whoever killed it may not have meant this cell."""

IMPORTED = (
    "ipv2_bench.benchmark.cells.run", "ipv2_bench.data.datamodule", "ipv2_bench.denoisers.base", "ipv2_bench.metrics.extractors",
    "lightning.pytorch", "skimage.measure", "timm",
)  # fmt: skip
"""What every cell needs: to import it takes longer than a small cell."""

DIED = "its process died without a word: out of memory, or killed"


@dataclass
class _Lane:
    """A worker process, begun anew when it dies, and the cell that it computes.

    Attributes
    ----------
    gpu
        The one that it sees, or the several of a training that is shared out, as ``CUDA_VISIBLE_DEVICES`` names them; ``None``
        for what this process sees.
    imported
        Modules that its workers find imported.
    """

    gpu: str | None
    imported: Sequence[str] = ()
    pool: ProcessPoolExecutor | None = None
    future: Future | None = None
    cell: CellSpec | None = None

    def start(self, cell: CellSpec, messages: Any) -> None:
        """Compute a cell."""
        for _ in range(2):  # a worker may have died since its last cell
            if self.pool is None:
                self.pool = worker_pool(1, {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}, self.imported)
            try:
                self.cell, self.future = cell, self.pool.submit(_work, cell, messages)
                return
            except BrokenProcessPool:
                self.close()
        raise InputError(f"no worker process can be started for {cell.name}: see that there is memory, and run the same command")

    def end(self) -> BaseException | str | None:
        """What became of the cell that has ended: an error, the message of a failure, or ``None``."""
        assert self.future is not None
        error, future, self.future = self.future.exception(), self.future, None
        if isinstance(error, BrokenProcessPool):
            self.close()
        return future.result() if error is None else error

    def close(self) -> None:
        """End the worker when its cell is done."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
        self.pool = None


class Local(Runner):
    """Worker processes of this machine: one for each GPU, which sees that one alone, or for each core where there is none."""

    def check(self, devices: int, on_gpu: bool) -> None:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.check`."""
        if on_gpu and devices > max(1, gpus()):
            raise InputError(f"train.devices is {devices}, and this machine has {gpus()} GPUs: set it to what there are at most")

    def run(self, specs: Sequence[CellSpec], progress: bool = True) -> list[Failure]:
        """See :meth:`~ipv2_bench.benchmark.cells.runners.runner.Runner.run`."""
        todo = [spec for spec in specs if not spec.complete]
        done = len(specs) - len(todo)
        with shared_queue() as messages, Leases() as leases, _shown(messages, len(specs), done, progress) as shown:
            return _Run(todo, self._lanes(todo), OthersCells(leases, shown), messages).all()

    def _lanes(self, todo: Sequence[CellSpec]) -> list[_Lane]:
        seen = gpus() if any(spec.accelerator in ("gpu", "cuda") for spec in todo) else 0
        names = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(seen)))).split(",")
        together = max((spec.train.devices for spec in todo), default=1)
        groups = [",".join(name.strip() for name in names[k : k + together]) for k in range(0, seen - together + 1, together)]
        lanes = range(min(self.processes, len(todo)))
        # A driver of GPUs that was woken before a fork is of no use after it, and some libraries wake it when they are imported.
        imported = IMPORTED if all(spec.accelerator == "cpu" for spec in todo) else ()
        return [_Lane(groups[k % len(groups)] if seen > 1 and groups else None, imported) for k in lanes]


class _Run:
    """Cells that wait, and lanes that compute them."""

    def __init__(self, specs: list[CellSpec], lanes: list[_Lane], others: OthersCells, messages: Any) -> None:
        self.waiting, self.lanes, self.others, self.messages = specs, lanes, others, messages
        self.attempts = {spec.cell_id: 0 for spec in specs}
        self.failures: list[Failure] = []

    def all(self) -> list[Failure]:
        """Run every cell; those that failed."""
        try:
            while self.waiting or any(lane.future for lane in self.lanes):
                self._fill()
                futures = [lane.future for lane in self.lanes if lane.future is not None]
                if not futures:
                    time.sleep(POLL_S if self.waiting else 0.0)
                    continue
                idle = self.waiting and len(futures) < len(self.lanes)
                done, _ = wait(futures, timeout=POLL_S if idle else None, return_when=FIRST_COMPLETED)
                for lane in self.lanes:
                    if lane.future in done:
                        self._ended(lane)
        finally:
            for lane in self.lanes:
                lane.close()
        return self.failures

    def _fill(self) -> None:
        """Give each free lane a cell that nobody else computes."""
        for lane in self.lanes:
            for spec in list(self.waiting) if lane.future is None else []:
                if self.others.claim(spec):
                    self.waiting.remove(spec)
                    self.attempts[spec.cell_id] += 1
                    lane.start(spec, self.messages)
                    break
                if spec.complete:
                    self.waiting.remove(spec)

    def _ended(self, lane: _Lane) -> None:
        """Book what became of a lane's cell."""
        spec, end = lane.cell, lane.end()
        assert spec is not None
        died = isinstance(end, BrokenProcessPool)
        if isinstance(end, BaseException) and is_disk_error(end):
            raise end
        if end is None:
            self.others.shown.finish(spec.name)
        elif died and self.attempts[spec.cell_id] < ATTEMPTS:
            self.waiting.append(spec)
        else:
            message = end if isinstance(end, str) else DIED if died else cause_of(end)
            if not isinstance(end, str):  # else the worker has written it
                StatusFile(spec.folder).end("failed", message)
            self.failures.append(Failure(spec.name, message))
            self.others.shown.fail(spec.name, message)
        self.others.leases.release(spec.folder)


def _work(spec: CellSpec, messages: Any) -> str | None:
    """Run a cell in a worker; the failure's message, or ``None``."""
    return run_reported(spec, lambda *progress: messages.put((spec.name, *progress)))


@contextmanager
def _shown(messages: Any, total: int, done: int, progress: bool) -> Iterator[Display]:
    """A display that shows what workers put into the queue."""
    shown, stop = display(total, done, progress), threading.Event()
    listener = threading.Thread(target=_listen, args=(messages, shown, stop), daemon=True)
    listener.start()
    try:
        yield shown
    finally:
        stop.set()
        listener.join(timeout=2)
        shown.close()


def _listen(messages: Any, shown: Display, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            shown.update(*messages.get(timeout=0.3))
        except queue.Empty:
            continue
        except (EOFError, OSError):
            return
