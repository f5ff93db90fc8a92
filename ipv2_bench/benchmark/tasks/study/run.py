"""Whether the paper's way of measuring works: distances to a label beside the aligned truth, over all that was computed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.plan import CellKey
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.measuring import measure_test_set
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import LABELS, UNTOUCHED, load_tables
from ipv2_bench.benchmark.tasks.study.attacks import attack_lines
from ipv2_bench.benchmark.tasks.study.picture import draw_study
from ipv2_bench.benchmark.tasks.study.report import ByNumber, Correlation, Point, cost_of, study_markdown
from ipv2_bench.benchmark.views.html.page import try_page
from ipv2_bench.errors import InputError
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.metrics.distances.frechet import frechet_at_infinity, frechet_by_size
from ipv2_bench.metrics.image_set import Measurements, distance_replicates, distances
from ipv2_bench.metrics.uncertainty import LEVEL
from ipv2_bench.progress import track
from ipv2_bench.purification.strategy import Strategy

TRUTHS = (
    "rmse_hu", "ssim", "noise_hu_lung", "noise_hu_background", "bias_hu_lung", "lung_spectrum_db", "ttf50_100", "lost_structure",
    "noise_structure",
)  # fmt: skip
"""Measures against the truth that a distance should agree with."""

FOUND, FOUND_BY = "auc_6mm", "LG-CHO 6 mm AUC"
"""How well a nodule of 6 mm is found, and the column of ``detection.csv`` that says so."""

LEAST_TRAINED = 4
DIGITS = 4

LabelSets = Mapping[tuple[str, int], Measurements]
"""Label and seed → measurements of the label's images."""


def study(config: Config, progress: bool = True) -> str:
    """Compare every distance with the truth over all cells of a configuration's tables, and write it down.

    ``study.csv`` holds the rank correlations, ``study_sets.csv`` every image set, ``study_by_number.csv`` how distances
    move with the number of images, ``study_attacks.csv`` what they say of a damaged truth; ``study.md`` says what came out,
    ``study.png`` shows it, and so does the HTML page. Where ``ipv2-bench detect`` was run before, its areas for nodules of 6 mm
    are among what a distance is held to.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed, on data whose truth is known.
    progress
        Show progress.

    Returns
    -------
    str
        The Markdown.

    Raises
    ------
    InputError
        When the truth is not known, or a cell is not complete.
    """
    benchmark = Benchmark.open(config, load_tables(config), progress)
    benchmark.prepared.need_truth()
    benchmark.require_complete()
    rows, labels = Rows(benchmark), labels_of(benchmark)
    points = _points(rows, labels, progress)
    trained = [p for p in points if p.trained]
    if len(trained) < LEAST_TRAINED:
        raise InputError(
            f"{len(trained)} trained denoisers: a rank correlation needs at least {LEAST_TRAINED}; add rows to the tables"
        )
    columns = sorted(c for c in trained[0].values if c.endswith(tuple(f" to {label}" for label in labels)))
    found = _found(config, trained)
    trained = [replace(p, values={**p.values, **found[p.name]}) for p in trained]
    truths = [t for t in (*TRUTHS, FOUND) if all(np.isfinite(p.values.get(t, np.nan)) for p in trained)]
    correlations = [_correlate(benchmark, trained, c, t) for t in truths for c in columns]
    by_number = _by_number(benchmark, progress)
    left_out = [label for label in LABELS if label not in labels]
    label = benchmark.label(None, config.seeds[0]).measurements
    attacks = attack_lines(benchmark.prepared, trained, label, LABELS[0])
    text = study_markdown(benchmark.prepared, points, correlations, by_number, attacks, left_out)
    sets = [{"images": p.name, "trained": p.trained, **p.values} for p in points]
    for name, content in (
        ("study.csv", csv_text([vars(c) for c in correlations], digits=DIGITS)),
        ("study_sets.csv", csv_text(sets, digits=DIGITS)),
        ("study_by_number.csv", csv_text(by_number, digits=DIGITS)),
        ("study_attacks.csv", csv_text(attacks, digits=DIGITS)),
        ("study.md", text),
    ):
        write_text(config.out / name, content)
    draw_study(benchmark.prepared.catalogue, points, by_number, columns, config.out / "study.png")
    try_page(benchmark, rows.of_tables(), config.out)
    return text


def labels_of(benchmark: Benchmark) -> tuple[str, ...]:
    """The labels that distances can be taken to: IPv2(NDCT) needs a weak denoiser, which not every table has trained."""
    return LABELS if _has_weak_denoiser(benchmark) else LABELS[:1]


def _has_weak_denoiser(benchmark: Benchmark) -> bool:
    return all(CellKey.of_weak_denoiser(benchmark.config, seed) in benchmark.cells for seed in benchmark.config.seeds)


def _points(rows: Rows, labels: Sequence[str], progress: bool) -> list[Point]:
    """Cells of the tables (one point for all of its seeds), of which filters are not trained, then image sets of no denoiser."""
    benchmark = rows.benchmark
    prepared, seeds = benchmark.prepared, benchmark.config.seeds
    references = {
        (label, seed): benchmark.label(None if label == LABELS[0] else Strategy.from_name("IPv2"), seed).measurements
        for label in labels
        for seed in seeds
    }
    by_training: dict[tuple[str, str], list[CellSpec]] = {}
    for key, spec in benchmark.cells.items():
        if key.denoiser == UNTOUCHED:  # the uLDCT below
            continue
        by_training.setdefault((key.denoiser, key.training), []).append(spec)
    points = []
    for specs in track(list(by_training.values()), "cells", unit="cell", enabled=progress):
        title = specs[0].denoiser.title if specs[0].cost.parameters else None
        by_seed = {spec.seed: benchmark.denoised(spec).measurements for spec in specs}
        points.append(_point(rows, f"{specs[0].denoiser.title} + {specs[0].training_name}", title, by_seed, references))
    slices, test = prepared.slices, prepared.split.test
    assert slices.truth is not None
    untrained = {"uLDCT": slices.low[test], "NDCT": slices.normal[test], "aligned truth": slices.truth[test]}
    for name, images in untrained.items():
        measured = measure_test_set(prepared.measuring, slices, prepared.split, np.array(images))
        points.append(_point(rows, name, None, dict.fromkeys(seeds, measured), references))
    strategies = [Strategy.from_name(name) for name in ("IPv1", "IPv1+1", "IPv2")]
    for strategy in (s for s in strategies if not s.remove_noise or _has_weak_denoiser(benchmark)):
        by_seed = {seed: benchmark.label(strategy, seed).measurements for seed in seeds}
        points.append(_point(rows, f"{strategy.name}(NDCT)", None, by_seed, references))
    return points


def _found(config: Config, trained: Sequence[Point]) -> dict[str, dict[str, float]]:
    """How well nodules are found, mean over seeds, by image set; without a value where ``detection.csv`` does not say."""
    try:
        with (config.out / "detection.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except FileNotFoundError:
        lines = []
    own = {p.name: [float(x[FOUND_BY]) for x in lines if x["images"] == p.name and x.get(FOUND_BY)] for p in trained}
    return {name: {FOUND: float(np.mean(values))} if values else {} for name, values in own.items()}


def _point(
    rows: Rows, name: str, denoiser: str | None, by_seed: Mapping[int, Measurements], references: LabelSets
) -> Point:
    counts = rows.draws.counts
    values: dict[str, list[float]] = {}
    replicates: dict[str, list[np.ndarray]] = {}
    for seed, measured in by_seed.items():
        own, drawn = measured.fidelity(), measured.fidelity_replicates(counts)
        for t, value in own.items():
            values.setdefault(t, []).append(value)
        for t in TRUTHS:
            replicates.setdefault(t, []).append(drawn.get(t, np.full(len(counts), np.nan)))
        for label in (label for label, of_seed in references if of_seed == seed):
            again = distance_replicates(measured, references[label, seed], counts)
            for column, value in distances(measured, references[label, seed]).items():
                if not column.endswith("_se"):
                    values.setdefault(f"{column} to {label}", []).append(value)
                if column in again:
                    replicates.setdefault(f"{column} to {label}", []).append(again[column])
    means = {k: float(np.mean(v)) for k, v in values.items()}
    return Point(name, denoiser, denoiser is not None, means, {k: np.stack(v) for k, v in replicates.items()})


def _correlate(
    benchmark: Benchmark, points: Sequence[Point], column: str, truth: str, rounds: int = 1000
) -> Correlation:
    """Rank correlation over points of a distance and a measure, both as numbers that are smaller for the better."""
    from scipy import stats

    measures = benchmark.prepared.catalogue

    def cost(name: str, value: float) -> float:
        return -value if name == FOUND else cost_of(measures, name, value)

    x, y = (np.array([cost(name, p.values[name]) for p in points]) for name in (column, truth))
    rho = float(stats.spearmanr(x, y).statistic)
    i, j = np.triu_indices(len(points), 1)
    pairs = float(np.mean((x[i] - x[j]) * (y[i] - y[j]) > 0))
    low = high = float("nan")
    if all(column in p.replicates and truth in p.replicates for p in points):
        rng = np.random.default_rng(0)
        drawn = []
        for _ in range(rounds):
            b = rng.integers(points[0].replicates[truth].shape[1])
            chosen = rng.integers(len(points), size=len(points))
            both = []
            for k in chosen:
                p = points[k]
                seeds = rng.integers(len(p.replicates[truth]), size=len(p.replicates[truth]))
                both.append([cost(name, p.replicates[name][seeds, b].mean()) for name in (column, truth)])
            u, v = np.array(both).T
            # A point that was drawn twice is one observation: ties would count as agreement.
            _, once = np.unique(chosen, return_index=True)
            if len(once) > 3:
                drawn.append(float(stats.spearmanr(u[once], v[once]).statistic))
        low, high = np.nanpercentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    name, _, label = column.partition(" to ")
    return Correlation(label, name, truth, rho, float(low), float(high), pairs, len(points))


def _by_number(benchmark: Benchmark, progress: bool) -> ByNumber:
    """Fréchet distance to the NDCT against the number of images, for every cell of the first seed."""
    lines: ByNumber = []
    seed = benchmark.config.seeds[0]
    reference = benchmark.label(None, seed).measurements
    if reference.n < 8:
        return lines
    cells = [spec for spec in benchmark.cells.values() if spec.seed == seed]
    for spec in track(cells, "numbers of images", unit="cell", enabled=progress):
        measured = benchmark.denoised(spec).measurements
        name = f"{spec.denoiser.title} + {spec.training_name}"
        for extractor in sorted(measured.features):
            members = zip(measured.features[extractor], reference.features[extractor], strict=True)
            each = [frechet_by_size(x, y) for x, y in members]
            sizes, values = each[0][0], np.mean([e[1] for e in each], axis=0)
            end = float(np.mean([frechet_at_infinity(*e) for e in each]))
            lines += [
                {"images": name, "extractor": extractor, "n": float(n), "frechet": float(v)}
                for n, v in zip(sizes, values, strict=True)
            ]
            lines.append({"images": name, "extractor": extractor, "n": float("inf"), "frechet": end})
    return lines
