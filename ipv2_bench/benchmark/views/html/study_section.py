"""The study of the distances, from the files that ``ipv2-bench study`` leaves beside the tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ipv2_bench.benchmark.lines import Line
from ipv2_bench.benchmark.render import heading
from ipv2_bench.benchmark.report.html_tables import scroll
from ipv2_bench.benchmark.report.scales import short
from ipv2_bench.benchmark.report.scatter import Point, points

FILES = ("study.csv", "study_sets.csv", "study_by_number.csv")
INTRODUCTION = (
    "The paper ranks denoisers by distances between sets of images. Here the aligned truth is known, so it can be asked "
    "whether such a ranking is right: Spearman’s ρ is 1 where a distance orders the denoisers as their error does, and 0 where "
    "it says nothing of it. In small print: the middle 95 % when patients, seeds and denoisers are drawn again."
)


def study_section(folder: Path, lines: dict[str, list[Line]], truth_known: bool) -> str:
    """The section; how to make the study where its files are not there or belong to other results.

    Parameters
    ----------
    folder
        Of the tables.
    lines
        The tables' lines, by which the study is known to be of the same results.
    truth_known
        Whether a study can be made of these data.
    """
    out = '<section id="study"><h2>Can the distances be trusted?</h2>'
    if not truth_known:
        return out + "<p>The aligned truth of these data is not known, so this cannot be asked here.</p></section>"
    how = "Run <code>ipv2-bench study</code> with the settings of these tables, and this page is written again with it."
    if not all((folder / name).is_file() for name in FILES):
        return out + f"<p>Nobody has asked yet. {how}</p></section>"
    correlations, sets, by_number = (_read(folder / name) for name in FILES)
    if not _same_results(sets, lines):
        return out + f"<p>The study that lies beside these tables is of other results. {how}</p></section>"
    out += f'<p>{INTRODUCTION}</p><div class="charts">{_against_error(sets)}{_by_number(by_number)}</div>'
    return out + _table(correlations) + _copyist(sets) + "</section>"


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _same_results(sets: Sequence[dict[str, str]], lines: dict[str, list[Line]]) -> bool:
    """Whether the study's errors are those of the tables, for the denoisers that stand in both."""
    ours = {
        f"{line.denoiser} + {line.strategy}": f"{line.mean['rmse_hu']:.4g}"
        for found in lines.values()
        for line in found
        if line.denoiser and "rmse_hu" in line.mean
    }
    both = [(s["rmse_hu"], ours[s["images"]]) for s in sets if s["images"] in ours]
    return bool(both) and all(a == b for a, b in both)


def _distance(sets: Sequence[dict[str, str]]) -> str:
    """The Fréchet distance to the NDCT that the study has: FID, or its offline kin."""
    names = [c for c in sets[0] if c.endswith(" to NDCT") and not c.startswith(("kid", "clip")) and "_inf" not in c]
    return "fid to NDCT" if "fid to NDCT" in names else names[0]


def _against_error(sets: Sequence[dict[str, str]]) -> str:
    column = _distance(sets)
    label = f"{heading(column.removesuffix(' to NDCT'))} to the NDCT"
    shown = []
    for s in sets:
        trained = s["trained"] == "1"
        name = s["images"]
        named = "" if trained or name.startswith("IPv") else name
        x, y = float(s[column]), float(s["rmse_hu"])
        shown.append(Point(name, x, y, tone=1, label=named, hollow=not trained))
    title = "The distance beside the true error"
    chart = points("study-error", title, label, "RMSE HU to the aligned truth", shown)
    kinds = "filled, trained denoisers; hollow, images that nobody denoised"
    return f"<figure><figcaption>{title}: {kinds}</figcaption>{chart}</figure>"


def _by_number(by_number: Sequence[dict[str, str]]) -> str:
    if not by_number:
        return ""
    own = [r for r in by_number if r["extractor"] == by_number[0]["extractor"] and r["n"] != "inf"]
    shown = [
        Point(
            f"{r['images']}, {float(r['n']):.0f} images", float(r["n"]), float(r["frechet"]), tone=1, line=r["images"]
        )
        for r in own
    ]
    title = "The distance to the NDCT and the number of images"
    chart = points("study-number", title, "number of images", f"Fréchet distance ({by_number[0]['extractor']})", shown)
    return f"<figure><figcaption>{title}: one line per denoiser</figcaption>{chart}</figure>"


def _table(correlations: Sequence[dict[str, str]]) -> str:
    truths = list(dict.fromkeys(c["truth"] for c in correlations))
    rows = ""
    for distance, label in dict.fromkeys((c["distance"], c["label"]) for c in correlations):
        cells = ""
        for truth in truths:
            c = next(x for x in correlations if (x["distance"], x["label"], x["truth"]) == (distance, label, truth))
            between = (
                f' <span class="spread">{float(c["low"]):.2f} to {float(c["high"]):.2f}</span>' if c["low"] else ""
            )
            share = f'<span class="change">{100 * float(c["pairs"]):.0f} % of pairs</span>'
            cells += f"<td>{float(c['rho']):.2f}{between}{share}</td>"
        rows += f'<tr><th scope="row">{escape(heading(distance))} to {escape(label)}</th>{cells.replace("-", "−")}</tr>'
    heads = "".join(f'<th scope="col">{escape(heading(t))}</th>' for t in truths)
    points_ = correlations[0]["points"]
    caption = f"Rank correlation of each distance with each error over {points_} trained denoisers, and the pairs ordered alike"
    head = f'<thead><tr><th scope="col">Distance</th>{heads}</tr></thead>'
    made = f"<table><caption><span>{caption}</span></caption>{head}<tbody>{rows}</tbody></table>"
    return scroll(made, "Rank correlations", "study-values")


def _copyist(sets: Sequence[dict[str, str]]) -> str:
    """Where a denoiser that returned the misaligned NDCT would stand: distances are blind to alignment."""
    column = _distance(sets)
    trained = [s for s in sets if s["trained"] == "1"]
    copy = next((s for s in sets if s["images"] == "NDCT"), None)
    if copy is None or not trained or not math.isfinite(float(copy[column])):
        return ""
    places = [1 + sum(float(t[c]) < float(copy[c]) for t in trained) for c in (column, "rmse_hu")]
    return (
        f"<p>A “denoiser” that returned the misaligned NDCT would be number <strong>{places[0]}</strong> of {len(trained) + 1} "
        f"by this distance and number <strong>{places[1]}</strong> by its true error ({short(float(copy['rmse_hu']))} HU).</p>"
    )
