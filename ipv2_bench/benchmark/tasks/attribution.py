"""Which part of the images a distance comes from: the aligned truth is put in, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.errors import InputError
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.progress import track
from ipv2_bench.registry import suggestion
from ipv2_bench.stored import read_array

SPACE = "randconv"
"""Feature space of the distances, which is there on every machine."""

PARTS = ("rim", "background", "lung", "tissue")


@dataclass(frozen=True)
class _Truth:
    """Truth of the test slices, the pixels of each part, and features of the NDCT."""

    images: np.ndarray
    parts: dict[str, np.ndarray]
    reference: list[np.ndarray]


def attribute(config: Config, denoisers: Sequence[str] = (), progress: bool = True) -> str:
    """Attribute the distances of Table 1's cells to regions.

    Each part of every denoised slice (the rim of the body, and background, lung and tissue without it) is replaced by the
    aligned truth and the distance to the NDCT is measured anew: by how much it falls is what that part adds to it.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed, on data whose truth is known.
    denoisers
        Keys; all of Table 1 when empty.
    progress
        Show progress.

    Returns
    -------
    str
        A Markdown table, a line per cell; it is also written as ``attribution.csv`` and ``.md`` beside the tables.

    Raises
    ------
    InputError
        When the truth is not known, or a cell is not complete.
    """
    tables = load_tables(config, [1])
    known = list(dict.fromkeys(line.denoiser for table in tables for line in table.lines if line.denoiser))
    for name in denoisers:
        if name not in known:
            raise InputError(f"denoiser '{name}' is not in Table 1: {suggestion(name, known)}use some of {', '.join(known)}")
    benchmark = Benchmark.open(config, tables, progress)
    benchmark.prepared.need_truth()
    cells = [s for k, s in benchmark.cells.items() if not denoisers or k.denoiser in denoisers]
    benchmark.require_complete(cells)
    truth = _truth(benchmark)
    lines = [_line(benchmark, spec, truth) for spec in track(cells, "cells", unit="cell", enabled=progress)]
    headings = {k: k.replace(f"fd_{SPACE}", "FD").replace("_true_", ", true ").replace("_hu_", " ") for k in lines[0]}
    markdown = render("plain_table.md.j2", columns=headings, rows=lines)
    write_text(config.out / "attribution.csv", csv_text(lines))
    write_text(config.out / "attribution.md", markdown)
    return markdown


def _truth(benchmark: Benchmark) -> _Truth:
    from ipv2_bench.metrics.anatomy import regions, rim

    prepared = benchmark.prepared
    assert prepared.slices.truth is not None
    test = prepared.split.test
    images = np.array(prepared.slices.truth[test])
    borders = np.stack([rim(t) for t in images])
    each = [regions(t, prepared.window) for t in images]
    parts = {"rim": borders} | {k: np.stack([r[k] for r in each]) & ~borders for k in PARTS[1:]}
    return _Truth(images, parts, prepared.measuring.extractors[SPACE](np.array(prepared.slices.normal[test])))


def _line(benchmark: Benchmark, spec: CellSpec, truth: _Truth) -> dict[str, str | int | float]:
    from ipv2_bench.metrics.distances.frechet import frechet_distance

    extract = benchmark.prepared.measuring.extractors[SPACE]

    def distance(images: np.ndarray) -> float:
        return float(np.mean([frechet_distance(a, b) for a, b in zip(extract(images), truth.reference, strict=True)]))

    images = read_array(spec.images_path)
    error = (images - truth.images) * benchmark.prepared.window.width
    line: dict[str, str | int | float] = {
        "denoiser": spec.denoiser.key,
        "strategy": spec.strategy.name,
        "seed": spec.seed,
        f"fd_{SPACE}": distance(images),
        **{f"fd_{SPACE}_true_{k}": distance(np.where(mask, truth.images, images)) for k, mask in truth.parts.items()},
        **{f"rmse_hu_{k}": float(np.sqrt((error[mask] ** 2).mean())) for k, mask in truth.parts.items()},
        **{f"bias_hu_{k}": float(error[mask].mean()) for k, mask in truth.parts.items()},
    }
    return {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in line.items()}
