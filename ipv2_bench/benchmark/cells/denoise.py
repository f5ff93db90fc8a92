"""The raw test uLDCT through a trained denoiser."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import Report
from ipv2_bench.benchmark.provenance import processor
from ipv2_bench.errors import InputError


@dataclass(frozen=True)
class Denoised:
    """Denoised test slices.

    Attributes
    ----------
    images
        [n, N, N] float32 in [0, 1].
    seconds_per_slice
        Median over batches.
    device
        Name of the CPU or GPU.
    """

    images: np.ndarray
    seconds_per_slice: float
    device: str


def denoise_test_set(spec: CellSpec, denoiser: Any, report: Report) -> Denoised:
    """Denoise the raw test uLDCT of a cell.

    Raises
    ------
    InputError
        When the denoiser returns images of another shape, NaN or infinity.
    """
    import torch

    from ipv2_bench.physics.seeding import torch_generator

    cuda = spec.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    denoiser = denoiser.to(device)
    test, batch = spec.split.test, spec.run.eval_batch
    images = np.empty((len(test), spec.slices.size, spec.slices.size), np.float32)
    seconds = []

    def restored(start: int) -> tuple[torch.Tensor, float]:
        near = spec.slices.with_neighbours(spec.slices.low, test[start : start + batch], denoiser.context)
        low = torch.from_numpy(near).to(device)
        begin = time.perf_counter()
        out = denoiser.restore(low, torch_generator(spec.seed, "denoise", start, device=device)).float().cpu()
        return out, time.perf_counter() - begin

    if spec.train.compile and len(images):
        restored(0)  # the first call compiles, and is no measure of speed
    for start in range(0, len(images), batch):
        index = test[start : start + batch]
        try:
            out, elapsed = restored(start)
        except Exception as error:
            error.add_note(f"on test slices {index.tolist()}")
            raise
        seconds.append(elapsed / len(index))
        expected = (len(index), 1, *images.shape[1:])
        if out.shape != expected:
            raise InputError(
                f"denoiser {spec.denoiser.key} returned shape {tuple(out.shape)}: expected {expected}"
            )
        if not bool(torch.isfinite(out).all()):
            raise InputError(
                f"denoiser {spec.denoiser.key} returned NaN or infinity for test slices {index.tolist()}"
            )
        images[start : start + len(index)] = out[:, 0].numpy()
        report("denoising", start + len(index), len(images))
    name = torch.cuda.get_device_name() if cuda else processor()
    return Denoised(images, float(f"{np.median(seconds):.4g}"), name)
