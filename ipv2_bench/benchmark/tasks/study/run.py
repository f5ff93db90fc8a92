"""Does the paper's way of measuring work? Distances to a label beside the aligned truth, over all that was computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats
from tqdm import tqdm

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.measuring import test_measures
from ipv2_bench.benchmark.plan import check, denoiser_title, plan_cells, prepare
from ipv2_bench.benchmark.report.page import try_page
from ipv2_bench.benchmark.reproduce import cell_name, training_name
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.study_picture import draw_study
from ipv2_bench.benchmark.study_report import LOWER_IS_WORSE, Correlation, Point, study_csv, study_markdown
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.distances import frechet_at_infinity, frechet_by_size
from ipv2_bench.metrics.measure import Measures, distance_replicates, distances
from ipv2_bench.metrics.uncertainty import LEVEL
from ipv2_bench.purification import Strategy

LABELS = ("NDCT", "IPv2(NDCT)")
TRUTHS = ("rmse_hu", "ssim", "noise_hu_lung", "noise_hu_background")


def study(config: Config, progress: bool = True) -> str:
    """Compare every distance with the truth over all cells of a configuration's tables, and write it down.

    ``study.csv`` holds the rank correlations, ``study_sets.csv`` every image set, ``study_by_number.csv`` how distances
    move with the number of images; ``study.md`` says what came out, ``study.png`` shows it, and the HTML page has it too.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed, on data whose truth is known.
    progress
        Show a progress bar.

    Returns
    -------
    str
        The Markdown.

    Raises
    ------
    InputError
        When the truth is not known, or a cell is not complete.
    """
    tables = load_tables(config)
    check(config, tables)
    ready = prepare(config, progress)
    if ready.slices.truth is None:
        raise InputError(f"data.source {config.data.source} knows no truth: use phantom or virtual_scan")
    cells = plan_cells(ready, tables)
    missing = [cell_name(k, s) for k, s in cells.items() if not s.done]
    if missing:
        raise InputError(f"{missing[0]} is not complete: run ipv2-bench reproduce with the same settings first")
    results = Results(ready, cells)
    points = _points(results, progress)
    trained = [p for p in points if p.trained]
    if len(trained) < 4:
        raise InputError(
            f"{len(trained)} trained denoisers: a rank correlation needs at least 4; add rows to the tables"
        )
    columns = sorted(c for c in trained[0].values if c.endswith(tuple(f" to {label}" for label in LABELS)))
    truths = [t for t in TRUTHS if all(np.isfinite(p.values[t]) for p in points)]
    found = [_correlate(trained, c, t) for t in truths for c in columns]
    by_number = _by_number(results, progress)
    out = Path(config.run.out) / config.name
    text = study_markdown(ready, points, found, by_number)
    for name, content in (
        ("study.csv", study_csv([vars(c) for c in found])),
        ("study_sets.csv", study_csv([{"images": p.name, "trained": int(p.trained), **p.values} for p in points])),
        ("study_by_number.csv", study_csv(by_number)),
        ("study.md", text),
    ):
        data = content.encode()
        write_whole(out / name, lambda file, data=data: file.write(data))  # type: ignore[misc]
    draw_study(points, by_number, columns, out / "study.png")
    try_page(results, tables, out)
    return text


def _points(results: Results, progress: bool) -> list[Point]:
    """Every cell of the tables (one point for all of its seeds), then image sets that nobody trained."""
    ready, seeds = results.ready, results.ready.config.seeds
    kinds: dict[tuple[str, str], list[int]] = {}
    for key in results.cells:
        kinds.setdefault((key.denoiser, key.training), []).append(key.seed)
    labels = {
        (label, seed): results.label(None if label == "NDCT" else Strategy.from_name("IPv2"), seed).measures
        for label in LABELS
        for seed in seeds
    }
    points = []
    for denoiser, training in tqdm(kinds, disable=not progress, desc="cells", unit="cell"):
        specs = {k.seed: s for k, s in results.cells.items() if (k.denoiser, k.training) == (denoiser, training)}
        title = denoiser_title(results.ready.config, denoiser)
        name = f"{title} + {training_name(next(iter(specs.values())))}"
        made = {seed: Measures.load(spec.measures_path) for seed, spec in specs.items()}
        points.append(_point(results, name, title, True, made, labels))
    test, slices = ready.split.test, ready.slices
    assert slices.truth is not None
    untrained = {"uLDCT": slices.low[test], "NDCT": slices.normal[test], "aligned truth": slices.truth[test]}
    for name, images in untrained.items():
        one = test_measures(slices, ready.split, ready.window, np.array(images))
        points.append(_point(results, name, "", False, dict.fromkeys(seeds, one), labels))
    for name in ("IPv1", "IPv1+1", "IPv2"):
        own = {seed: results.label(Strategy.from_name(name), seed).measures for seed in seeds}
        points.append(_point(results, f"{name}(NDCT)", "", False, own, labels))
    return points


def _point(
    results: Results,
    name: str,
    denoiser: str,
    trained: bool,
    made: dict[int, Measures],
    labels: dict[tuple[str, int], Measures],
) -> Point:
    counts = results.draws.counts
    values: dict[str, list[float]] = {}
    replicates: dict[str, list[np.ndarray]] = {}
    for seed, measures in made.items():
        own, drawn = measures.means(), measures.replicates(counts)
        for t in TRUTHS:
            values.setdefault(t, []).append(own.get(t, float("nan")))
            replicates.setdefault(t, []).append(drawn[t])
        for label in LABELS:
            reference = labels[label, seed]
            again = distance_replicates(measures, reference, counts)
            for column, value in distances(measures, reference).items():
                if not column.endswith("_se"):
                    values.setdefault(f"{column} to {label}", []).append(value)
                if column in again:
                    replicates.setdefault(f"{column} to {label}", []).append(again[column])
    return Point(
        name,
        denoiser,
        trained,
        {k: float(np.mean(v)) for k, v in values.items()},
        {k: np.stack(v) for k, v in replicates.items()},
    )


def _correlate(points: Sequence[Point], column: str, truth: str, rounds: int = 1000) -> Correlation:
    """Rank correlation over points, larger error being worse for both."""
    sign = -1.0 if truth in LOWER_IS_WORSE else 1.0
    x = np.array([p.values[column] for p in points])
    y = sign * np.array([p.values[truth] for p in points])
    rho = float(stats.spearmanr(x, y).statistic)
    i, j = np.triu_indices(len(points), 1)
    pairs = float(np.mean((x[i] - x[j]) * (y[i] - y[j]) > 0))
    low = high = float("nan")
    if all(column in p.replicates for p in points):
        rng = np.random.default_rng(0)
        drawn = []
        for _ in range(rounds):
            b = rng.integers(points[0].replicates[truth].shape[1])
            chosen = rng.integers(len(points), size=len(points))
            both = []
            for k in chosen:
                p = points[k]
                seeds = rng.integers(len(p.replicates[truth]), size=len(p.replicates[truth]))
                both.append((p.replicates[column][seeds, b].mean(), sign * p.replicates[truth][seeds, b].mean()))
            u, v = np.array(both).T
            # A point that was drawn twice is one observation: ties would count as agreement.
            _, once = np.unique(chosen, return_index=True)
            if len(once) > 3:
                drawn.append(float(stats.spearmanr(u[once], v[once]).statistic))
        low, high = np.nanpercentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    name, _, label = column.partition(" to ")
    return Correlation(label, name, truth, rho, float(low), float(high), pairs, len(points))


def _by_number(results: Results, progress: bool) -> list[dict[str, str | float]]:
    """Fréchet distance to the NDCT against the number of images, for every cell of the first seed."""
    lines: list[dict[str, str | float]] = []
    seed = results.ready.config.seeds[0]
    reference = results.label(None, seed).measures
    cells = {k: s for k, s in results.cells.items() if k.seed == seed}
    if reference.n < 8:
        return lines
    for spec in tqdm(cells.values(), disable=not progress, desc="numbers of images", unit="cell"):
        made = Measures.load(spec.measures_path)
        name = f"{spec.title} + {training_name(spec)}"
        for extractor in sorted(made.features):
            members = zip(made.features[extractor], reference.features[extractor], strict=True)
            each = [frechet_by_size(x, y) for x, y in members]
            sizes, values = each[0][0], np.mean([e[1] for e in each], axis=0)
            ends = float(np.mean([frechet_at_infinity(*e) for e in each]))
            lines += [
                {"images": name, "extractor": extractor, "n": int(n), "frechet": float(v)}
                for n, v in zip(sizes, values, strict=True)
            ]
            lines.append({"images": name, "extractor": extractor, "n": float("inf"), "frechet": ends})
    return lines
