"""Worker processes that end with the program, and threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.context import BaseContext
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any, TypeVar

from ipv2_bench.streams import install

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin(environment: Mapping[str, str]) -> None:
    """Begin a process of the program, with these variables: no print ends its work, and it ends with its parent."""
    os.environ |= environment
    install()
    _end_with_parent()


def worker_pool(
    workers: int, environment: Mapping[str, str] | None = None, imported: Sequence[str] = ()
) -> ProcessPoolExecutor:
    """A pool of processes, each of which ends when this process is gone.

    Parameters
    ----------
    workers
        How many.
    environment
        Variables of theirs, beside those of this process.
    imported
        Modules that take long to import: one process imports them, and workers are forked from it in a moment. None of them may
        start a thread or wake a GPU. Without any, and on other systems than Linux, each worker is a program of its own.
    """
    context = _forking(imported) if imported and sys.platform == "linux" else get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=begin, initargs=({**os.environ, **(environment or {})},)
    )


def _forking(imported: Sequence[str]) -> BaseContext:
    """A way to start processes with modules that the process they are forked from has imported, from where this one would."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(imported))
    # Of this process's path it would know nothing, and take what lies in the working folder first.
    wanted = {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path), "PYTHONSAFEPATH": "1"}
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ |= wanted
    try:
        forkserver.ensure_running()
    finally:
        for name in wanted:
            os.environ.pop(name)
        os.environ |= kept
    return context


def parallel_map(function: Callable[[T], R], jobs: Sequence[T], workers: int, imported: Sequence[str] = ()) -> list[R]:
    """``[function(job) for job in jobs]`` over processes of :func:`worker_pool`, which end with the program."""
    if workers <= 1 or len(jobs) < 2:
        return [function(job) for job in jobs]
    with worker_pool(min(workers, len(jobs)), imported=imported) as pool:
        return list(pool.map(function, jobs))


@contextmanager
def shared_queue() -> Iterator[Any]:
    """A queue that can be passed to workers as an argument; its process ends with this one."""
    manager = SyncManager(ctx=get_context("spawn"))
    manager.start(_end_with_parent)
    try:
        yield manager.Queue()
    finally:
        manager.shutdown()


def _end_with_parent() -> None:
    """Let this process end when the one that began it is gone: an orphan would go on writing while the next run starts."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``[function(x) for x in items]`` on as many threads as torch has; each call must release the GIL to gain."""
    import torch

    threads = min(len(items), torch.get_num_threads())
    if threads < 2:
        return [function(x) for x in items]
    return list(_threads(torch.get_num_threads()).map(function, items))


@lru_cache(maxsize=4)
def _threads(n: int) -> ThreadPoolExecutor:
    """Threads that are kept, since what they hold (plans of transforms) is expensive to make."""
    return ThreadPoolExecutor(n)
