"""Speed and agreement of the distances beside clean-fid, in one process, and what measuring costs: ``make bench-metrics``."""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.measuring import measure_test_set
from ipv2_bench.benchmark.provenance import commit, packages, processor
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.files import write_json, write_text
from ipv2_bench.metrics.distances.frechet import frechet_distance
from ipv2_bench.metrics.distances.kernel import kernel_distance

FEATURES = 2048
NUMBERS = (64, 647, 5000)
"""Images: a small test set, the paper's, and more than features."""


def clean_fid_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """FID by clean-fid from the same features: means, covariances, matrix root."""
    from cleanfid.fid import fid_from_feats

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return float(fid_from_feats(a, b))


def clean_fid_kernel(a: np.ndarray, b: np.ndarray) -> float:
    """KID by clean-fid, which draws its own subsets."""
    from cleanfid.fid import kernel_distance as theirs

    np.random.seed(0)  # noqa: NPY002  clean-fid draws from NumPy's global state
    return float(theirs(a, b, num_subsets=100, max_subset_size=min(1000, len(a) // 2)))


def compare(n: int, d: int = FEATURES, repeats: int = 3) -> list[dict[str, Any]]:
    """Both distances of ``n`` images with ``d`` correlated features by both programs: seconds (median) and values."""
    rng = np.random.default_rng(n)
    mix = rng.normal(size=(d, d)) / d**0.5
    a, b = (np.maximum(rng.normal(size=(n, d)) @ mix + shift, 0.0) for shift in (0.3, 0.35))
    lines = []
    distances: tuple[tuple[str, Callable, Callable], ...] = (
        ("Fréchet", frechet_distance, clean_fid_frechet),
        ("KID", lambda x, y: kernel_distance(x, y)[0], clean_fid_kernel),
    )
    for name, ours, theirs in distances:
        (our_value, seconds), (their_value, their_seconds) = (_timed(partial(f, a, b), repeats) for f in (ours, theirs))
        lines.append(
            {
                "distance": name,
                "images": n,
                "features": d,
                "ours": our_value,
                "clean-fid": their_value,
                "seconds": seconds,
                "seconds_clean_fid": their_seconds,
                "times_faster": their_seconds / seconds,
            }
        )
    return lines


def _timed(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Value of the last call and median seconds of all."""
    seconds, value = [], 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        seconds.append(time.perf_counter() - start)
    return value, float(np.median(seconds))


def share_of_run(config: Config) -> dict[str, Any]:
    """Processor seconds of all measuring of a completed benchmark, beside those of its training and denoising.

    Raises
    ------
    InputError
        When a cell is not complete.
    """
    benchmark = Benchmark.open(config, load_tables(config), progress=False)
    benchmark.require_complete()
    prepared, rows = benchmark.prepared, Rows(benchmark)
    start = time.process_time()
    for spec in benchmark.cells.values():
        images = np.load(spec.images_path, allow_pickle=False)
        measure_test_set(prepared.measuring, prepared.slices, prepared.split, images)
    for table in benchmark.tables:
        for line in table.lines:
            for seed in config.seeds:
                rows.measure(line, seed)
    measuring = time.process_time() - start
    computing = sum(_computing(spec) for spec in benchmark.cells.values())
    return {
        "benchmark": config.name,
        "cells": len(benchmark.cells),
        "measuring_seconds": round(measuring, 1),
        "training_and_denoising_seconds": round(computing, 1),
        "share": round(measuring / (measuring + computing), 4),
    }


def _computing(spec: CellSpec) -> float:
    return spec.cost.seconds_training + spec.cost.seconds_per_slice * len(spec.split.test)


def main() -> None:
    """Measure and write ``metrics.json`` and ``metrics.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--numbers", type=int, nargs="+", default=list(NUMBERS))
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--config", default="", help="of a completed benchmark whose measuring is timed")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "processor": processor(),
        "commit": commit(),
        "versions": packages(),
        "speed": [line for n in arguments.numbers for line in compare(n, arguments.features)],
    }
    if arguments.config:
        result["share"] = share_of_run(load_config(arguments.config, arguments.settings))
    text = _markdown(result)
    write_json(arguments.out / "metrics.json", result)
    write_text(arguments.out / "metrics.md", text)
    print(text)


def _markdown(result: dict[str, Any]) -> str:
    out = [
        "# Distances beside clean-fid",
        "",
        f"Features to distance, {result['processor']}, medians of three in one process. KID draws other subsets here and there.",
        "",
        "| distance | images | features | ours | clean-fid | ours s | clean-fid s | times faster |",
        "|" + "---|" * 8,
    ]
    for x in result["speed"]:
        out.append(
            f"| {x['distance']} | {x['images']} | {x['features']} | {x['ours']:.6g} | {x['clean-fid']:.6g} | "
            f"{x['seconds']:.3g} | {x['seconds_clean_fid']:.3g} | {x['times_faster']:.3g} |"
        )
    if "share" in result:
        s = result["share"]
        out += [
            "",
            f"All measuring of the benchmark {s['benchmark']} ({s['cells']} cells, features, fidelity, distances and their "
            f"bootstrap) takes {s['measuring_seconds']} processor seconds, about {100 * s['share']:.1f} % of the whole.",
        ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()
