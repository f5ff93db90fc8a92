"""Whether the paper's way of measuring works: distances to a label beside the aligned truth, over all that was computed."""

from __future__ import annotations

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
from ipv2_bench.benchmark.tasks.study.report import FOUND, ByNumber, Correlation, Point, cost_of, study_markdown
from ipv2_bench.benchmark.views.html.page import try_page
from ipv2_bench.benchmark.views.html.sections.detection import FILES
from ipv2_bench.errors import InputError
from ipv2_bench.files import csv_text, read_csv, write_text
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

FOUND_BY = "LG-CHO 6 mm AUC"
"""Column of ``detection.csv`` with how well nodules of 6 mm are found."""

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
    points = _with_found(_points(rows, labels, progress), config)
    trained = [p for p in points if p.trained]
    if len(trained) < LEAST_TRAINED:
        raise InputError(
            f"{len(trained)} trained denoisers: a rank correlation needs at least {LEAST_TRAINED}; add rows to the tables"
        )
    taken = sorted(c for c in trained[0].values if c.endswith(tuple(f" to {label}" for label in labels)))
    equal = [c for c in taken if len({p.values[c] for p in trained}) <= len(trained) / 2]
    columns = [c for c in taken if c not in equal]
    truths = [t for t in (*TRUTHS, FOUND) if all(np.isfinite(p.values.get(t, np.nan)) for p in trained)]
    correlations = [_correlate(benchmark, trained, c, t) for t in truths for c in columns]
    by_number = _by_number(benchmark, progress)
    left_out = [label for label in LABELS if label not in labels]
    label = benchmark.label(None, config.seeds[0]).measurements
    attacks = attack_lines(benchmark.prepared, trained, label, LABELS[0])
    text = study_markdown(benchmark.prepared, points, correlations, by_number, attacks, left_out, equal)
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


def _with_found(points: Sequence[Point], config: Config) -> list[Point]:
    """The points with how well nodules are found, mean over seeds, as far as ``detection.csv`` says it."""
    lines = read_csv(config.out / FILES["ground_glass"])
    areas = {p.name: [float(x[FOUND_BY]) for x in lines if x["images"] == p.name and x.get(FOUND_BY)] for p in points}
    return [replace(p, values={**p.values, FOUND: float(np.mean(own))}) if (own := areas[p.name]) else p for p in points]


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

    def cost(name: str, value: np.ndarray) -> np.ndarray:
        return cost_of(benchmark.prepared.catalogue, name, value)

    x, y = (cost(name, np.array([p.values[name] for p in points])) for name in (column, truth))
    rho = _rank_correlation(x, y)
    i, j = np.triu_indices(len(points), 1)
    pairs = float(np.mean((x[i] - x[j]) * (y[i] - y[j]) > 0))
    low = high = float("nan")
    if all(column in p.replicates and truth in p.replicates for p in points):
        u, v = (cost(name, _drawn(points, name, rounds)) for name in (column, truth))
        # A point that was drawn twice is one observation: ties would count as agreement.
        once = [np.unique(chosen, return_index=True)[1] for chosen in _choices(points, truth, rounds)[0]]
        drawn = [_rank_correlation(a[own], b[own]) for a, b, own in zip(u, v, once, strict=True) if len(own) > 3]
        low, high = np.nanpercentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    name, _, label = column.partition(" to ")
    return Correlation(label, name, truth, rho, float(low), float(high), pairs, len(points))


def _choices(points: Sequence[Point], name: str, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each round draws: points [R, P], their seeds [R, P, S], and a draw of patients [R]; the same for every column."""
    seeds, draws = points[0].replicates[name].shape
    rng = np.random.default_rng(0)
    size = (rounds, len(points))
    return rng.integers(len(points), size=size), rng.integers(seeds, size=(*size, seeds)), rng.integers(draws, size=rounds)


def _drawn(points: Sequence[Point], name: str, rounds: int) -> np.ndarray:
    """Values of a column in each round, means over the drawn seeds, [R, P]."""
    chosen, seeds, draws = _choices(points, name, rounds)
    replicates = np.stack([p.replicates[name] for p in points])
    return replicates[chosen[:, :, None], seeds, draws[:, None, None]].mean(2)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's ρ of two arrays [k]; NaN where one is constant."""
    from scipy.stats import rankdata

    a, b = (rankdata(x) - (len(x) + 1) / 2 for x in (a, b))
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread > 0 else float("nan")


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
