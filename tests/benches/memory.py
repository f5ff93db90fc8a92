"""Peak memory of a call: on a CPU in a process of its own, so that memory freed before does not hide what is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipv2_bench.processes import worker_pool

RESET = Path("/proc/self/clear_refs")


def peak_mb(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> float | None:
    """Largest resident memory during a call, minus that before it, in MB; ``None`` on other systems than Linux.

    Parameters
    ----------
    prepare
        A function at the top of a module; in the new process ``prepare(*arguments)`` returns the function that is measured.
    arguments
        Arguments of ``prepare``.
    """
    if not RESET.exists():
        return None
    with worker_pool(1) as pool:
        return pool.submit(_measured, prepare, arguments).result()


def gpu_peak_mb(run: Callable[[], Any]) -> float:
    """Largest GPU memory during ``run()``, minus that before it, in MB."""
    import torch

    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _measured(prepare: Callable[..., Callable[[], Any]], arguments: tuple) -> float:
    run = prepare(*arguments)
    RESET.write_text("5")
    before = status_mb("VmRSS")
    run()
    return round(status_mb("VmHWM") - before, 1)


def status_mb(key: str) -> float:
    """Value of a line of ``/proc/self/status``, such as ``VmRSS`` or ``VmHWM`` (the peak), in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
