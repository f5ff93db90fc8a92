"""Worker processes that do not outlive the program, and threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def worker_pool(workers: int, prepare: Callable[[Any], None] | None = None, given: Any = None) -> ProcessPoolExecutor:
    """A pool of spawned processes; each calls ``prepare(given)`` first, and ends when this process is gone."""
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(), prepare, given)
    )


def _begin(parent: int, prepare: Callable[[Any], None] | None, given: Any) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(1)  # an orphan would go on writing while the next run starts

    threading.Thread(target=watch, daemon=True).start()
    if prepare is not None:
        prepare(given)


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``[function(x) for x in items]`` on as many threads as torch has; each call must release the GIL to gain."""
    import torch

    threads = min(len(items), torch.get_num_threads())
    if threads < 2:
        return [function(x) for x in items]
    return list(_threads(torch.get_num_threads()).map(function, items))


@lru_cache(maxsize=4)
def _threads(n: int) -> ThreadPoolExecutor:
    """Threads that stay, since what they keep (plans of transforms) is dear to make."""
    return ThreadPoolExecutor(n)
