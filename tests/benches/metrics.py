"""Speed and agreement of the distances beside clean-fid, in one process, and what measuring costs: ``make bench-metrics``."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cell import CellSpec
from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.measuring import test_measures
from ipv2_bench.benchmark.plan import plan_cells, prepare
from ipv2_bench.benchmark.provenance import commit, processor, versions
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.distances import frechet_distance, kernel_distance

FEATURES = 2048
NUMBERS = (64, 647, 5000)
"""Images: a small test set, the paper's, and more than features."""


def theirs_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """clean-fid's road from features to FID: means, covariances, matrix root."""
    from cleanfid.fid import fid_from_feats

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return float(fid_from_feats(a, b))


def theirs_kernel(a: np.ndarray, b: np.ndarray) -> float:
    """clean-fid's KID with its own subsets."""
    from cleanfid.fid import kernel_distance as theirs

    np.random.seed(0)  # noqa: NPY002  clean-fid draws from NumPy's global state
    return float(theirs(a, b, num_subsets=100, max_subset_size=min(1000, len(a) // 2)))


def compare(n: int, d: int = FEATURES, repeats: int = 3) -> list[dict[str, Any]]:
    """Both distances of ``n`` images with ``d`` correlated features by both programs: seconds (median) and values."""
    rng = np.random.default_rng(n)
    mix = rng.normal(size=(d, d)) / d**0.5
    a, b = (np.maximum(rng.normal(size=(n, d)) @ mix + shift, 0.0) for shift in (0.3, 0.35))
    lines = []
    roads: tuple[tuple[str, Callable, Callable], ...] = (
        ("Fréchet", frechet_distance, theirs_frechet),
        ("KID", lambda x, y: kernel_distance(x, y)[0], theirs_kernel),
    )
    for what, ours, theirs in roads:
        (mine, seconds), (other, their_seconds) = (_timed(partial(f, a, b), repeats) for f in (ours, theirs))
        lines.append(
            {
                "distance": what,
                "images": n,
                "features": d,
                "ours": mine,
                "clean-fid": other,
                "seconds": seconds,
                "seconds_clean_fid": their_seconds,
                "times_faster": their_seconds / seconds,
            }
        )
    return lines


def _timed(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    taken, value = [], 0.0
    for _ in range(repeats):
        begun = time.perf_counter()
        value = run()
        taken.append(time.perf_counter() - begun)
    return value, float(np.median(taken))


def share_of_run(config: Config) -> dict[str, Any]:
    """Processor seconds of all measuring of a completed benchmark, beside those of its training and denoising.

    Raises
    ------
    InputError
        When a cell is not complete.
    """
    tables = load_tables(config)
    ready = prepare(config, progress=False)
    cells = plan_cells(ready, tables)
    open_cells = [s for s in cells.values() if not s.done]
    if open_cells:
        raise InputError(
            f"{len(open_cells)} cells of {config.name} are not complete: run ipv2-bench reproduce with the same settings first"
        )
    results = Results(ready, cells)
    begun = time.process_time()
    for spec in cells.values():
        images = np.load(spec.folder / "denoised.npy", allow_pickle=False)
        test_measures(ready.slices, ready.split, ready.window, images)
    for table in tables:
        for row in table.rows:
            for seed in config.seeds:
                results.make_row(row, seed)
    measuring = time.process_time() - begun
    computing = sum(_computing(spec, len(ready.split.test)) for spec in cells.values())
    return {
        "benchmark": config.name,
        "cells": len(cells),
        "measuring_seconds": round(measuring, 1),
        "training_and_denoising_seconds": round(computing, 1),
        "share": round(measuring / (measuring + computing), 4),
    }


def _computing(spec: CellSpec, slices: int) -> float:
    cost = json.loads((spec.folder / "result.json").read_text())
    return float(cost["seconds_training"] + cost["seconds_per_slice"] * slices)


def main() -> None:
    """Measure and write ``metrics.json`` and ``metrics.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--numbers", type=int, nargs="+", default=list(NUMBERS))
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--config", default="", help="of a completed benchmark whose measuring is timed")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    given = parser.parse_args()
    found: dict[str, Any] = {
        "processor": processor(),
        "commit": commit(),
        "versions": versions(),
        "speed": [line for n in given.numbers for line in compare(n, given.features)],
    }
    if given.config:
        found["share"] = share_of_run(load_config(given.config, given.settings))
    text = _markdown(found)
    write_whole(given.out / "metrics.json", lambda file: file.write((json.dumps(found, indent=1) + "\n").encode()))
    write_whole(given.out / "metrics.md", lambda file: file.write(text.encode()))
    print(text)


def _markdown(found: dict[str, Any]) -> str:
    out = [
        "# Distances beside clean-fid",
        "",
        f"Features to distance, {found['processor']}, medians of three in one process. KID draws other subsets here and there.",
        "",
        "| distance | images | features | ours | clean-fid | ours s | clean-fid s | times faster |",
        "|" + "---|" * 8,
    ]
    for x in found["speed"]:
        out.append(
            f"| {x['distance']} | {x['images']} | {x['features']} | {x['ours']:.6g} | {x['clean-fid']:.6g} | "
            f"{x['seconds']:.3g} | {x['seconds_clean_fid']:.3g} | {x['times_faster']:.3g} |"
        )
    if "share" in found:
        s = found["share"]
        out += [
            "",
            f"All measuring of the benchmark {s['benchmark']} ({s['cells']} cells, features, fidelity, distances and their "
            f"bootstrap) takes {s['measuring_seconds']} processor seconds, about {100 * s['share']:.1f} % of the whole.",
        ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()
