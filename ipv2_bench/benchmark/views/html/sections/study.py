"""The study of the distances, from the CSV files that ``ipv2-bench study`` writes beside the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ipv2_bench.benchmark.views.html.charts.points import ChartPoint, PointChart, points
from ipv2_bench.benchmark.views.html.charts.scale import minus, short
from ipv2_bench.benchmark.views.html.main_measures import TRUE_ERROR
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.files import read_csv
from ipv2_bench.metrics.catalogue import Catalogue

CORRELATIONS, SETS, BY_NUMBER = FILES = ("study.csv", "study_sets.csv", "study_by_number.csv")
TO_NDCT = " to NDCT"
"""End of the columns of image sets that hold a distance to the NDCT."""

NAMED = ("uLDCT", "NDCT", "aligned truth")
"""Image sets whose names are written beside their points; those of labels would overlap."""

RowText = dict[str, str]


@dataclass(frozen=True)
class CorrelationText:
    """Spearman's ρ, its range and the percentage of pairs that are ordered alike; the last two empty where there is none."""

    rho: str
    range: str
    pairs: str


@dataclass(frozen=True)
class CorrelationRow:
    """A distance, and its correlation with each error."""

    name: str
    correlations: tuple[CorrelationText, ...]


@dataclass(frozen=True)
class Copyist:
    """Rank of a denoiser that returned the misaligned NDCT, of ``of``: by the distance, and by its true error in HU."""

    by_distance: int
    by_error: int
    of: int
    error: str


@dataclass(frozen=True)
class Study:
    """The results of the study."""

    charts: tuple[PointChart, ...]
    n_trained: str
    headings: tuple[str, ...]
    rows: tuple[CorrelationRow, ...]
    copyist: Copyist | None


Absence = Literal["no_truth", "no_files", "other_results"]
"""Why there is no study: none is possible, there are no files of one, or they are of other results."""


@dataclass(frozen=True)
class StudySection:
    """The section: the study, or why there is none."""

    absence: Absence | None
    study: Study | None = None


def study_section(folder: Path, views: Sequence[TableView], truth_known: bool) -> StudySection:
    """The section, from the files of a folder.

    Parameters
    ----------
    folder
        Of the tables.
    views
        The tables, by whose lines the study is recognised as one of the same results.
    truth_known
        Whether a study of these data is possible.
    """
    if not truth_known:
        return StudySection("no_truth")
    if not all((folder / name).is_file() for name in FILES):
        return StudySection("no_files")
    correlations, sets, by_number = (read_csv(folder / name) for name in FILES)
    if not _same_results(sets, views):
        return StudySection("other_results")
    catalogue = views[0].catalogue
    columns = [name.removesuffix(TO_NDCT) for name in sets[0] if name.endswith(TO_NDCT)]
    distance = catalogue.main_distance(columns) or columns[0]
    charts = (_against_error(sets, distance, catalogue), _by_number(by_number))
    errors = list(dict.fromkeys(c["truth"] for c in correlations))
    return StudySection(
        None,
        Study(
            charts=tuple(chart for chart in charts if chart is not None),
            n_trained=correlations[0]["points"],
            headings=tuple(_heading(catalogue, error) for error in errors),
            rows=_correlation_rows(correlations, errors, catalogue),
            copyist=_copyist(sets, distance),
        ),
    )


def _heading(catalogue: Catalogue, name: str) -> str:
    return catalogue.columns[name].heading if name in catalogue.columns else name


def number_of(text: str | None) -> float:
    """The number of a CSV cell; NaN for an empty one."""
    return float(text) if text else math.nan


def _same_results(sets: Sequence[RowText], views: Sequence[TableView]) -> bool:
    """Whether the study's errors are those of the tables, for the denoisers that are in both."""
    own = {
        line.name: line.mean[TRUE_ERROR]
        for view in views
        for line in view.lines
        if line.denoiser and TRUE_ERROR in line.values
    }
    both = [(number_of(s[TRUE_ERROR]), own[s["images"]]) for s in sets if s["images"] in own]
    return bool(both) and all(f"{a:.4g}" == f"{b:.4g}" for a, b in both)


def _against_error(sets: Sequence[RowText], distance: str, catalogue: Catalogue) -> PointChart | None:
    shown = []
    for s in sets:
        x, y = number_of(s[distance + TO_NDCT]), number_of(s[TRUE_ERROR])
        if math.isfinite(x) and math.isfinite(y):
            label = s["images"] if s["images"] in NAMED else None
            shown.append(ChartPoint(s["images"], x, y, tone=1, label=label, hollow=s["trained"] != "1"))
    title = "The distance beside the true error"
    across, up = f"{_heading(catalogue, distance)} to the NDCT", f"{_heading(catalogue, TRUE_ERROR)} to the aligned truth"
    caption = f"{title}: filled, trained denoisers; hollow, images that nothing trained made"
    return points("study-error", title, across, up, shown, caption=caption) if shown else None


def _by_number(by_number: Sequence[RowText]) -> PointChart | None:
    extractor = by_number[0]["extractor"] if by_number else None
    shown = []
    for row in by_number:
        n, distance = number_of(row["n"]), number_of(row["frechet"])
        if row["extractor"] == extractor and math.isfinite(n) and math.isfinite(distance):
            shown.append(ChartPoint(f"{row['images']}, {n:.0f} images", n, distance, tone=1, line=row["images"]))
    title = "The distance to the NDCT and the number of images"
    up, caption = f"Fréchet distance ({extractor})", f"{title}: one line per denoiser"
    return points("study-number", title, "number of images", up, shown, caption=caption) if shown else None


def _correlation_rows(
    correlations: Sequence[RowText], errors: Sequence[str], catalogue: Catalogue
) -> tuple[CorrelationRow, ...]:
    by_key = {(c["distance"], c["label"], c["truth"]): c for c in correlations}
    distances = dict.fromkeys((c["distance"], c["label"]) for c in correlations)
    return tuple(
        CorrelationRow(
            f"{_heading(catalogue, distance)} to {label}",
            tuple(_correlation(by_key[distance, label, error]) for error in errors),
        )
        for distance, label in distances
    )


def _correlation(c: RowText) -> CorrelationText:
    rho, low, high, pairs = (number_of(c[name]) for name in ("rho", "low", "high", "pairs"))
    between = f"{low:.2f} to {high:.2f}" if math.isfinite(low) and math.isfinite(high) else ""
    return CorrelationText(
        rho="—" if math.isnan(rho) else minus(f"{rho:.2f}"),
        range=minus(between),
        pairs="" if math.isnan(pairs) else f"{100 * pairs:.0f} %",
    )


def _copyist(sets: Sequence[RowText], distance: str) -> Copyist | None:
    """Where a denoiser that returned the misaligned NDCT would rank: distances are blind to alignment."""
    column = distance + TO_NDCT
    trained = [s for s in sets if s["trained"] == "1"]
    copy = next((s for s in sets if s["images"] == "NDCT"), None)
    if copy is None or not trained or not all(math.isfinite(number_of(copy[c])) for c in (column, TRUE_ERROR)):
        return None
    by_distance, by_error = (
        1 + sum(number_of(t[c]) < number_of(copy[c]) for t in trained) for c in (column, TRUE_ERROR)
    )
    return Copyist(by_distance, by_error, len(trained) + 1, short(number_of(copy[TRUE_ERROR])))
