"""Cost of denoising a slice."""

from __future__ import annotations

from ipv2_bench.metrics.base import Column, CostMeasure


class Cost(CostMeasure):
    """Time, network calls and memory of denoising, on the machine that computed the cell."""

    version = 1
    order = 10
    columns = (
        Column(
            "seconds_per_slice", "seconds per slice", "s", "cost", "lower", scale="log",
            explanation="Median over batches of the time that denoising a slice took.",
        ),
        Column(
            "network_calls", "network calls", None, "cost", "lower", scale="log",
            explanation="Calls of the network for one slice.",
        ),
        Column(
            "inference_memory_mb", "memory MB", "MB", "cost", "lower", scale="log",
            explanation="Peak memory of denoising: of the process on a CPU, of the device on a GPU.",
        ),
    )  # fmt: skip
