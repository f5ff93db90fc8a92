"""Worker processes that end with the program, and threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from typing import Any, TypeVar

from ipv2_bench.streams import install

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin(parent: int, environment: dict[str, str]) -> None:
    """Begin a process of the program: what it prints never ends its work, and it ends with its parent, which has that number."""
    os.environ |= environment
    install()
    _end_with(parent)


def worker_pool(workers: int, environment: Mapping[str, str] | None = None) -> ProcessPoolExecutor:
    """A pool of spawned processes, each of which ends when this process is gone; ``environment``: variables of theirs."""
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=begin, initargs=(os.getpid(), dict(environment or {}))
    )


def parallel_map(function: Callable[[T], R], jobs: Sequence[T], workers: int) -> list[R]:
    """``[function(job) for job in jobs]`` over processes that end with the program."""
    if workers <= 1 or len(jobs) < 2:
        return [function(job) for job in jobs]
    with worker_pool(min(workers, len(jobs))) as pool:
        return list(pool.map(function, jobs))


@contextmanager
def shared_queue() -> Iterator[Any]:
    """A queue that can be passed to workers as an argument; its process ends with this one."""
    manager = SyncManager(ctx=get_context("spawn"))
    manager.start(_end_with, (os.getpid(),))
    try:
        yield manager.Queue()
    finally:
        manager.shutdown()


def _end_with(parent: int) -> None:
    """Let this process end when its parent is gone: an orphan would go on writing while the next run starts."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
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
