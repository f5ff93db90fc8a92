"""Does the paper's way of measuring work? Distances to a label beside the aligned truth, over all that was computed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from tqdm import tqdm

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.measuring import test_measures
from ipv2_bench.benchmark.plan import Prepared, check, plan_cells, prepare
from ipv2_bench.benchmark.reproduce import cell_name, training_name
from ipv2_bench.benchmark.results import Results, denoiser_title
from ipv2_bench.benchmark.study_picture import draw_study
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.distances import frechet_at_infinity, frechet_by_size
from ipv2_bench.metrics.measure import Measures, distance_replicates, distances
from ipv2_bench.metrics.uncertainty import LEVEL
from ipv2_bench.purification import Strategy

LABELS = ("NDCT", "IPv2(NDCT)")
TRUTHS = ("rmse_hu", "ssim", "noise_hu_lung", "noise_hu_background")
LOWER_IS_WORSE = ("ssim",)


@dataclass(frozen=True)
class Point:
    """One image set of the study: the mean over its seeds, and each seed on the bootstrap's draws, [S, B].

    ``trained`` is false for image sets that no denoiser made, such as the NDCT itself.
    """

    name: str
    denoiser: str
    trained: bool
    values: dict[str, float]
    replicates: dict[str, np.ndarray]


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ of a distance to a label with a measure against the truth, over trained points.

    ``low`` and ``high``: the middle 95 % of a resampling of patients, training seeds and points; with few of them it is
    narrower than an interval. ``pairs``: share of pairs of
    points that the distance orders as the truth does. 1 would be a distance that can be trusted.
    """

    label: str
    distance: str
    truth: str
    rho: float
    low: float
    high: float
    pairs: float
    points: int


def study(config: Config, progress: bool = True) -> str:
    """Compare every distance with the truth over all cells of a configuration's tables, and write it down.

    ``study.csv`` holds the rank correlations, ``study_sets.csv`` every image set, ``study_by_number.csv`` how distances
    move with the number of images; ``study.md`` says what came out, ``study.png`` shows it.

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
        raise InputError(f"{len(trained)} trained denoisers: a rank correlation needs at least 4; add rows to the tables")
    columns = sorted(c for c in trained[0].values if c.endswith(tuple(f" to {label}" for label in LABELS)))
    truths = [t for t in TRUTHS if all(np.isfinite(p.values[t]) for p in points)]
    found = [_correlate(trained, c, t) for t in truths for c in columns]
    by_number = _by_number(results, progress)
    out = Path(config.run.out) / config.name
    text = _markdown(ready, points, found, by_number)
    for name, content in (
        ("study.csv", _csv([vars(c) for c in found])),
        ("study_sets.csv", _csv([{"images": p.name, "trained": int(p.trained), **p.values} for p in points])),
        ("study_by_number.csv", _csv(by_number)),
        ("study.md", text),
    ):
        data = content.encode()
        write_whole(out / name, lambda file, data=data: file.write(data))  # type: ignore[misc]
    draw_study(points, by_number, columns, out / "study.png")
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
        title = denoiser_title(denoiser)
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
    for key, spec in tqdm(cells.items(), disable=not progress, desc="numbers of images", unit="cell"):
        made = Measures.load(spec.measures_path)
        name = f"{denoiser_title(key.denoiser)} + {training_name(spec)}"
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


def _csv(lines: list[dict]) -> str:
    buffer = io.StringIO()
    keys = list(dict.fromkeys(k for line in lines for k in line))
    writer = csv.DictWriter(buffer, keys, lineterminator="\n", restval="")
    writer.writeheader()
    for line in lines:
        numbers = {k: f"{v:.4g}" if v == v else "" for k, v in line.items() if isinstance(v, float)}
        writer.writerow({**line, **numbers})
    return buffer.getvalue()


def _markdown(
    ready: Prepared, points: Sequence[Point], found: Sequence[Correlation], by_number: list[dict[str, str | float]]
) -> str:
    trained = [p for p in points if p.trained]
    patients = len({ready.slices.patient[i] for i in ready.split.test})
    seeds = len(ready.config.seeds)
    out = ["## Do the distances order results as the truth does?", ""]
    if not ready.config.meaningful:
        out += ["**This size only tries every path: its numbers mean nothing.**", ""]
    out += [
        f"Spearman's ρ over {len(trained)} trained denoisers ({ready.config.title or ready.config.name}; {patients} test "
        f"patients, {seeds} training seed{'s' if seeds > 1 else ''}), in brackets the middle 95 % of a resampling of patients, "
        "seeds and denoisers (with few of them too narrow for an interval), then the share of pairs that both order alike.",
        "",
    ]
    distances_ = list(dict.fromkeys((c.distance, c.label) for c in found))
    truths = list(dict.fromkeys(c.truth for c in found))
    out += ["| distance | to | " + " | ".join(truths) + " |", "|" + "---|" * (2 + len(truths))]
    for distance, label in distances_:
        cells = []
        for t in truths:
            c = next(x for x in found if (x.distance, x.label, x.truth) == (distance, label, t))
            spread = f" [{c.low:.2f}, {c.high:.2f}]" if np.isfinite(c.low) else ""
            cells.append(f"{c.rho:.2f}{spread}, {100 * c.pairs:.0f} %")
        out.append(f"| {distance} | {label} | " + " | ".join(cells) + " |")
    out += ["", "### What each measure says of images that nobody denoised", ""]
    columns = [c for c in points[0].values if " to " in c and "_inf" not in c]
    shown = [*truths, *columns]
    out += ["| images | " + " | ".join(shown) + " |", "|" + "---|" * (1 + len(shown))]
    for p in points:
        if not p.trained:
            out.append(f"| {p.name} | " + " | ".join(f"{p.values[c]:.3g}" for c in shown) + " |")
    out.append("| best of the trained | " + " | ".join(_best(trained, c) for c in shown) + " |")
    out += ["", *(f"- {text}" for text in _places(points, columns))]
    out += _numbers(by_number)
    return "\n".join(out) + "\n"


def _best(trained: Sequence[Point], column: str) -> str:
    values = [p.values[column] for p in trained]
    return f"{(max if column in LOWER_IS_WORSE else min)(values):.3g}"


def _places(points: Sequence[Point], columns: Sequence[str]) -> list[str]:
    """Where the NDCT, the truth and the uLDCT would stand among the trained, by each measure."""
    trained = [p for p in points if p.trained]
    texts = []
    for name, meaning in (
        ("NDCT", "a denoiser that returned the misaligned NDCT"),
        ("aligned truth", "a perfect denoiser, returning the aligned truth,"),
        ("uLDCT", "doing nothing"),
    ):
        p = next(x for x in points if x.name == name)
        places = []
        for c in ("rmse_hu", *columns):
            place = 1 + sum(t.values[c] < p.values[c] for t in trained)
            places.append(f"{place} by {c}")
        texts.append(f"Among the {len(trained)} trained, {meaning} would come in at place {', '.join(places)}.")
    return texts


def _numbers(by_number: list[dict[str, str | float]]) -> list[str]:
    """How the order of the cells changes with the number of images."""
    out: list[str] = []
    for extractor in dict.fromkeys(line["extractor"] for line in by_number):
        own = [line for line in by_number if line["extractor"] == extractor]
        sizes = sorted({float(line["n"]) for line in own})
        at = {n: np.array([float(line["frechet"]) for line in own if float(line["n"]) == n]) for n in sizes}
        whole = sizes[-2]
        shown = ", ".join(
            f"{'∞' if np.isinf(n) else int(n)}: {at[n].mean():.3g} (ρ {stats.spearmanr(at[n], at[whole]).statistic:.2f})"
            for n in sizes
        )
        out += [
            "",
            "### How the Fréchet distance moves with the number of images",
            "",
            f"In the space {extractor}, to the NDCT, mean over {len(at[whole])} denoisers at N images, and the rank "
            f"correlation of their order with that at N = {int(whole)}: {shown}.",
        ]
    return out
