"""The study in words: what its points and correlations are, and the Markdown and CSV that show them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ipv2_bench.benchmark.plan import Prepared

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


def study_csv(lines: list[dict]) -> str:
    """Lines as CSV, numbers to four digits, what a line lacks empty."""
    buffer = io.StringIO()
    keys = list(dict.fromkeys(k for line in lines for k in line))
    writer = csv.DictWriter(buffer, keys, lineterminator="\n", restval="")
    writer.writeheader()
    for line in lines:
        numbers = {k: f"{v:.4g}" if v == v else "" for k, v in line.items() if isinstance(v, float)}
        writer.writerow({**line, **numbers})
    return buffer.getvalue()


def study_markdown(
    ready: Prepared, points: Sequence[Point], found: Sequence[Correlation], by_number: list[dict[str, str | float]]
) -> str:
    """What came out, in words and tables.

    Parameters
    ----------
    ready
        The benchmark.
    points
        Every image set.
    found
        The rank correlations over the trained ones.
    by_number
        Fréchet distances by number of images.
    """
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
