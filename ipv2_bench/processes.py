"""Worker processes that do not outlive the program."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any


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
