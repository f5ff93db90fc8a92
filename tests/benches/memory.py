"""Peak memory of a piece of work: on a CPU in a process of its own, where nothing freed before hides what it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipv2_bench.processes import worker_pool

RESET = Path("/proc/self/clear_refs")


def peak_mb(prepare: Callable[..., Callable[[], Any]], *given: Any) -> float | None:
    """Largest resident memory while work is done, above that before, in MB; ``None`` elsewhere than on Linux.

    Parameters
    ----------
    prepare
        A function of a module; ``prepare(*given)`` in the new process returns what is then called without arguments.
    given
        Its arguments.
    """
    if not RESET.exists():
        return None
    with worker_pool(1) as pool:
        return pool.submit(_measured, prepare, given).result()


def gpu_peak_mb(run: Callable[[], Any]) -> float:
    """GPU memory that a run takes above what is held before it, in MB."""
    import torch

    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - held) / 2**20


def _measured(prepare: Callable[..., Callable[[], Any]], given: tuple) -> float:
    work = prepare(*given)
    RESET.write_text("5")
    before = status_mb("VmRSS")
    work()
    return round(status_mb("VmHWM") - before, 1)


def status_mb(key: str) -> float:
    """A line of ``/proc/self/status``, such as ``VmRSS`` or ``VmHWM`` (the peak), in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
