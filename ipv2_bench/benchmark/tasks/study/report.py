"""The study in words: its points and correlations, and the Markdown that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import Prepared
from ipv2_bench.benchmark.views.sentences import NOT_MEANT
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.metrics.base import Number
from ipv2_bench.metrics.catalogue import Catalogue

FOUND = "auc_6mm"
"""How well a nodule of 6 mm is found after a denoiser: area under the ROC curve, which the images alone do not tell."""

ByNumber = list[dict[str, Any]]
"""Rows with images, extractor, n and frechet."""


@dataclass(frozen=True)
class Point:
    """One image set of the study: the mean over its seeds, and each seed on the bootstrap's draws, [S, B].

    ``trained`` is false for image sets that no denoiser made, such as the NDCT itself.
    """

    name: str
    denoiser: str | None
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


def study_markdown(
    prepared: Prepared,
    points: Sequence[Point],
    correlations: Sequence[Correlation],
    by_number: ByNumber,
    attacks: Sequence[Mapping[str, str | float]],
    left_out: Sequence[str] = (),
    equal: Sequence[str] = (),
) -> str:
    """The result in words and tables.

    Parameters
    ----------
    prepared
        The data.
    points
        Every image set.
    correlations
        The rank correlations over the trained ones.
    by_number
        Fréchet distances by number of images.
    attacks
        What each measure says of a damaged truth.
    left_out
        Labels that these tables have not computed.
    equal
        Distances that are the same for most denoisers, and are in no correlation.
    """
    trained = [p for p in points if p.trained]
    truths = list(dict.fromkeys(c.truth for c in correlations))
    pairs = list(dict.fromkeys((c.distance, c.label) for c in correlations))
    main = {c.name for c in prepared.catalogue.columns.values() if c.group == "distance"}
    columns = [c for c in points[0].values if " to " in c and c.partition(" to ")[0] in main]
    shown = [*truths, *columns]
    rows = {p.name: [f"{p.values[c]:.3g}" if c in p.values else "–" for c in shown] for p in points if not p.trained}
    rows["best of the trained"] = [_best(trained, c, prepared.catalogue) for c in shown]
    return render(
        "study.md.j2",
        not_meant=None if prepared.config.meaningful else NOT_MEANT,
        introduction=_introduction(prepared, len(trained), left_out),
        equal=", ".join(equal),
        truths=truths,
        correlations={
            pair: [_correlation(c) for t in truths for c in correlations if (c.distance, c.label, c.truth) == (*pair, t)]
            for pair in pairs
        },
        columns=shown,
        untrained=rows,
        places=_places(points, columns, prepared.catalogue),
        trust=_trust(correlations),
        attacks=[{k: _share(v) for k, v in x.items() if k != "truth"} for x in attacks],
        numbers=[_numbers(by_number, extractor) for extractor in dict.fromkeys(r["extractor"] for r in by_number)],
    )


def _introduction(prepared: Prepared, trained: int, left_out: Sequence[str]) -> str:
    config: Config = prepared.config
    patients, seeds = len(set(prepared.test_patients)), len(config.seeds)
    without = f" Without distances to {', '.join(left_out)}: no line of these tables needs that label." if left_out else ""
    whose = f"{patients} test patient{'s' if patients > 1 else ''}"
    return (
        f"Spearman's ρ over {trained} trained denoisers ({config.heading}; {whose}, {seeds} training "
        f"seed{'s' if seeds > 1 else ''}), in brackets the middle 95 % of a resampling of patients, seeds and denoisers (with "
        "few of them too narrow for an interval), then the share of pairs that both order alike."
        f"{without}"
    )


def _correlation(c: Correlation) -> str:
    between = f" [{c.low:.2f}, {c.high:.2f}]" if np.isfinite(c.low) else ""
    return f"{c.rho:.2f}{between}, {100 * c.pairs:.0f} %"


def cost_of(catalogue: Catalogue, column: str, value: Number) -> Number:
    """A value, or an array of them, as what is smaller for the better one; ``column`` may end with the label it is taken to."""
    return -value if column == FOUND else catalogue.columns[column.partition(" to ")[0]].cost_of(value)


def _best(trained: Sequence[Point], column: str, catalogue: Catalogue) -> str:
    return f"{min((p.values[column] for p in trained), key=lambda v: cost_of(catalogue, column, v)):.3g}"


def _places(points: Sequence[Point], columns: Sequence[str], catalogue: Catalogue) -> list[str]:
    """The ranks that the NDCT, the truth and the uLDCT would have among the trained, by each measure."""
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
            own = cost_of(catalogue, c, p.values[c])
            places.append(f"{1 + sum(cost_of(catalogue, c, t.values[c]) < own for t in trained)} by {c}")
        texts.append(f"Among the {len(trained)} trained, {meaning} would come in at place {', '.join(places)}.")
    return texts


def _share(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "–" if np.isnan(value) else f"{100 * value:.0f} %"


def _trust(correlations: Sequence[Correlation]) -> list[str]:
    """The distance that orders best by each measure against the truth, and the one that orders worst."""
    texts = []
    for truth in dict.fromkeys(c.truth for c in correlations):
        own = sorted((c for c in correlations if c.truth == truth and np.isfinite(c.rho)), key=lambda c: c.rho)
        if own:
            best, worst = (f"{c.distance} to {c.label} ({c.rho:.2f})" for c in (own[-1], own[0]))
            texts.append(f"By {truth}: best {best}, worst {worst}.")
    return texts


def _numbers(by_number: ByNumber, extractor: str) -> str:
    """How the order of the cells changes with the number of images, in one feature space."""
    from scipy import stats

    own = [row for row in by_number if row["extractor"] == extractor]
    sizes = sorted({float(row["n"]) for row in own})
    at = {n: np.array([float(row["frechet"]) for row in own if float(row["n"]) == n]) for n in sizes}
    whole = sizes[-2]
    shown = ", ".join(
        f"{'∞' if np.isinf(n) else int(n)}: {at[n].mean():.3g} (ρ {stats.spearmanr(at[n], at[whole]).statistic:.2f})"
        for n in sizes
    )
    return (
        f"In the space {extractor}, to the NDCT, mean over {len(at[whole])} denoisers at N images, and the rank correlation of "
        f"their order with that at N = {int(whole)}: {shown}."
    )
