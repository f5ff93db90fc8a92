"""What a cell cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
