"""What a cell cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class TrainingCost(BaseModel):
    """What a training cost, over all interruptions.

    Attributes
    ----------
    seconds
        Time of training; what was computed again after an interruption counts twice.
    peak_memory_mb
        Of the process on a CPU, of the device on a GPU.
    steps
        Optimiser steps that were taken; 0 where there are none, and before the end.
    pairs_used
        Share of the training pairs that the strategy can train on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 0
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    pairs_used: float = 1.0


class Cost(BaseModel):
    """What a cell cost.

    Attributes
    ----------
    parameters, network_calls
        Of the denoiser; calls for one slice.
    seconds_training, seconds_per_slice
        Time of training, and of denoising a slice (median over batches).
    peak_memory_mb, inference_memory_mb
        Of training and of denoising: of the process on a CPU, of the device on a GPU.
    device, threads
        What computed it.
    pairs_used
        Share of the training pairs that the strategy can train on: 1 but for those that leave out some.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int
    network_calls: int
    seconds_training: float
    seconds_per_slice: float
    peak_memory_mb: float
    inference_memory_mb: float
    device: str
    threads: int
    pairs_used: float = 1.0

    @model_serializer(mode="wrap")
    def _all_pairs_unsaid(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """That all pairs are used is left unsaid."""
        said = handler(self)
        return {k: v for k, v in said.items() if k != "pairs_used" or v != 1.0}


def joined(costs: Sequence[Cost]) -> Cost:
    """The cost of several folds of one cell: times of training added up, means of times of a slice, the largest of memories."""
    return costs[0].model_copy(
        update={
            "seconds_training": sum(cost.seconds_training for cost in costs),
            "pairs_used": sum(cost.pairs_used for cost in costs) / len(costs),
            "seconds_per_slice": float(f"{sum(cost.seconds_per_slice for cost in costs) / len(costs):.4g}"),
            "peak_memory_mb": max(cost.peak_memory_mb for cost in costs),
            "inference_memory_mb": max(cost.inference_memory_mb for cost in costs),
        }
    )


def reset_peak_memory() -> None:
    """Let the peak begin anew: a worker computes one cell after the other."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # elsewhere than on Linux it is the worker's own peak
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """The peak since :func:`reset_peak_memory`, in MiB: of the process on a CPU, of the device on a GPU."""
    import resource

    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    except (OSError, StopIteration):
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
