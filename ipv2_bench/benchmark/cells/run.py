"""One cell from beginning to end: train, denoise the test set, measure, as far as this has not been done."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.cells.cost import Cost
from ipv2_bench.benchmark.cells.denoise import denoise_test_set
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.train import Report, train
from ipv2_bench.benchmark.measuring import measure_test_set, measuring_of
from ipv2_bench.files import write_text, write_whole
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.weights import weights_folder


def run_cell(spec: CellSpec, report: Report) -> None:
    """Compute what is missing of a cell.

    Raises
    ------
    InputError
        When the denoiser's loss is not finite, or it returns images of the wrong shape or values.
    """
    import torch

    if spec.threads:
        torch.set_num_threads(spec.threads)
    spec.folder.mkdir(parents=True, exist_ok=True)
    if not spec.cost_path.exists():
        _train_and_denoise(spec, report)
    if not spec.measures_path.exists():
        report("measuring", 0, 1)
        images = np.load(spec.images_path, allow_pickle=False)
        measures, weights = catalogue(spec.metrics.extra), weights_folder(spec.run.weights)
        measuring = measuring_of(spec.slices, spec.split, spec.window, measures, weights)
        measure_test_set(measuring, spec.slices, spec.split, images).save(spec.measures_path)


def _train_and_denoise(spec: CellSpec, report: Report) -> None:
    import torch

    _reset_peak_memory()
    begin = time.perf_counter()
    denoiser = train(spec, report)
    seconds_training = time.perf_counter() - begin
    peak_training = _peak_memory_mb()
    _reset_peak_memory()
    denoised = denoise_test_set(spec, denoiser, report)
    write_whole(spec.images_path, lambda file: np.save(file, denoised.images))
    cost = Cost(
        parameters=sum(p.numel() for p in denoiser.parameters()),
        network_calls=denoiser.network_calls,
        seconds_training=round(seconds_training, 2),
        seconds_per_slice=denoised.seconds_per_slice,
        peak_memory_mb=peak_training,
        inference_memory_mb=_peak_memory_mb(),
        device=denoised.device,
        threads=torch.get_num_threads(),
    )
    write_text(spec.cost_path, cost.model_dump_json(indent=1) + "\n")
    (spec.folder / "last.ckpt").unlink(missing_ok=True)


def _reset_peak_memory() -> None:
    """Let the peak begin anew: a worker computes one cell after the other."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # elsewhere than on Linux it is the worker's own peak
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mb() -> float:
    import resource

    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    except (OSError, StopIteration):
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
