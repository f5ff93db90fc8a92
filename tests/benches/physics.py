"""Speed, memory and accuracy of the physics beside the published pipeline, in one process: ``make bench-physics``."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipv2_bench.benchmark.provenance import commit, processor
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.files import write_json, write_text
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.published import published_low_dose
from ipv2_bench.physics.scanner import line_integrals
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.add_noise import AddNoise
from tests.benches.memory import peak_mb
from tests.benches.physics_accuracy import accuracy, noise_spectra
from tests.benches.physics_report import markdown, save_noise_power
from tests.benches.physics_share import share_of_training
from tests.literal.published_noise import published_pipeline

SIZES = (128, 256, 512, 1024)
VIEWS = 512
PUBLISHED = "published (scikit-image)"
METHODS = (PUBLISHED, "ours", "ours, projection kept")
PUBLISHED_FORM = "ours, dose_model=published"
"""The published script's formula and geometry by non-uniform FFTs, slice by slice as in the script, on one thread. It has as many
angles as a slice has pixels along a side, so that it is timed at that size alone."""


def add_noise_run(
    method: str, size: int, views: int, batch: int, device: str = "cpu", threads: int = 0
) -> Callable[[], Any]:
    """Add Noise of ``batch`` slices (one for the published script) with ``views`` angles, by one of :data:`METHODS` or by
    :data:`PUBLISHED_FORM`.
    """
    if threads:
        torch.set_num_threads(threads)
    window = Window()
    hu = draw_section(Patient.draw(np.random.default_rng(0)), 0.55, size, 400 / size).hu.astype(np.float32)
    unit = torch.from_numpy(window.unit(hu))
    if method == PUBLISHED:
        return partial(published_pipeline, unit.numpy().astype(np.float64), 0, views)
    normal = unit.expand(batch, 1, size, size).contiguous().to(device)
    if method == PUBLISHED_FORM:
        return lambda: published_low_dose(normal[:, 0], [torch_generator(0, i) for i in range(batch)])
    mm = torch.full((batch,), 400 / size, device=device)
    model = AddNoise(window, Acquisition(1e5, views=views, filter_name="cosine", dose=0.02, inserted=True))
    integrals = line_integrals(window.hu(normal[:, 0]), mm, model.acquisition) if method == METHODS[2] else None
    return lambda: model(normal, mm, [torch_generator(0, i, device=device) for i in range(batch)], integrals)


def seconds_per_slice(run: Callable[[], Any], slices: int, repeats: int, device: torch.device) -> float:
    """Median seconds per slice after one call to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])) / slices


def speed(size: int, device: torch.device, batch: int = 16, published: bool = True) -> list[dict[str, Any]]:
    """Slices per second and peak memory of every method at ``size`` with :data:`VIEWS` angles."""
    lines = []
    cuda = device.type == "cuda"
    threads = torch.get_num_threads()
    methods = METHODS if published else METHODS[1:]
    if published and size == VIEWS:
        methods = (PUBLISHED, PUBLISHED_FORM, *METHODS[1:])
    for method in methods:
        arguments = (method, size, VIEWS, batch)
        single = method in (PUBLISHED, PUBLISHED_FORM)
        slices = 1 if method == PUBLISHED else batch
        run = add_noise_run(*arguments, device.type)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        torch.set_num_threads(1 if single else threads)
        try:
            seconds = seconds_per_slice(run, slices, 5 if size <= 512 or cuda else 3, device)
        finally:
            torch.set_num_threads(threads)
        if cuda:
            where, memory = torch.cuda.get_device_name(), round(torch.cuda.max_memory_allocated() / 2**20, 1)
        else:
            where = "cpu, one thread" if single else f"cpu, {threads} threads"
            memory = peak_mb(add_noise_run, *arguments, "cpu", 1 if single else threads)
        lines.append(
            {
                "method": method,
                "device": where,
                "size": size,
                "slices_per_second": float(f"{1 / seconds:.4g}"),
                "peak_memory_mb": memory,
            }
        )
    return lines


def growth(lines: list[dict[str, Any]], name: str) -> float:
    """p of the fit ``seconds ∝ N^p·log N`` over the sizes on the last device; 2 is the cost of a fast Fourier transform."""
    fitted = [line for line in lines if line["method"] == name and line["device"] == lines[-1]["device"]]
    size = np.array([line["size"] for line in fitted], float)
    seconds = np.array([1 / line["slices_per_second"] for line in fitted])
    return float(np.polyfit(np.log(size), np.log(seconds / np.log(size)), 1)[0])


def main() -> None:
    """Measure, print, and write ``physics.{json,md,png}``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="comma-separated (default: %(default)s)")
    arguments = parser.parse_args()
    sizes = [int(s) for s in arguments.sizes.split(",")]
    devices = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
    lines = []
    for device in devices:
        for size in sizes:
            lines += speed(size, device, published=device.type == "cpu")
            print(lines[-1], flush=True)
    result = {
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "unmeasured",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit(),
        "views": VIEWS,
        "batch": 16,
        "speed": lines,
        "growth": {k: round(growth(lines, k), 2) for k in ("ours", "ours, projection kept")} if len(sizes) > 2 else {},
        "accuracy": accuracy(),
        "share": share_of_training(Path("experiments") / ("paper.yaml" if torch.cuda.is_available() else "quick.yaml")),
    }
    suffix = "-cuda" if torch.cuda.is_available() else ""
    write_json(arguments.out / f"physics{suffix}.json", result)
    write_text(arguments.out / f"physics{suffix}.md", markdown(result))
    save_noise_power(noise_spectra(), arguments.out / f"physics{suffix}.png")
    print(markdown(result))


if __name__ == "__main__":
    main()
