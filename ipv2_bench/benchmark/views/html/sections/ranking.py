"""What came out, ranked: the first thing on the page, beside the slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.rows.bounds import is_bound
from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.tables import NDCT
from ipv2_bench.benchmark.views.html.charts.scale import minus
from ipv2_bench.benchmark.views.html.main_measures import TRUE_ERROR, main_error
from ipv2_bench.benchmark.views.html.picture_file import PictureFile
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column

BESIDE = ("noise_hu_lung", "edge_mtf50", "seconds_per_slice")
"""Measures beside the one that ranks: noise, sharpness, and cost."""


@dataclass(frozen=True)
class RankHeading:
    """Heading of a column: key, text, and what its number means."""

    key: str
    text: str
    explanation: str


@dataclass(frozen=True)
class RankCell:
    """A value with its interval in words and in numbers; ``value`` is ``None`` where it is not measured."""

    text: str
    value: float | None
    spread: str = ""
    low: float | None = None
    high: float | None = None
    is_beaten: bool = False


@dataclass(frozen=True)
class RankRow:
    """A line of the tables.

    Attributes
    ----------
    rank
        From 1; ``None`` for what is part of floor or ceiling.
    name
        The line in words.
    picture
        Index of its picture; ``None`` where it has none.
    cells
        One for each heading.
    """

    rank: int | None
    name: str
    picture: int | None
    cells: tuple[RankCell, ...]


@dataclass(frozen=True)
class RankingSection:
    """The section.

    Attributes
    ----------
    by, to
        Heading of the measure that ranks, and what it compares with.
    headings, rows
        The table, best first.
    """

    by: str
    to: str
    headings: tuple[RankHeading, ...]
    rows: tuple[RankRow, ...]


def ranking_section(views: Sequence[TableView], pictures: PictureFile | None) -> RankingSection | None:
    """All lines of denoised images under the NDCT, those of labels where no table has others; ``None`` without a measure.

    A line of several tables is shown once, as the first of them has it, and so is one that has another name there, as IPv1+1+2
    against the NDCT is IPv2.
    """
    kind = [view for view in views if not view.table.of_labels] or list(views)
    lines: dict[str, tuple[TableView, Line]] = {}
    for view in kind:
        for line in view.lines:
            if line.label == NDCT:
                lines.setdefault(line.name, (view, line))
    error = next((column for view in kind if (column := main_error(view)) is not None), None)
    if error is None:
        return None
    known = kind[0].catalogue.columns
    columns = [error, *(known[name] for name in BESIDE if any(name in line.values for _, line in lines.values()))]
    with_error = [(view, line) for view, line in lines.values() if error.name in line.values]
    with_error.sort(key=lambda pair: error.cost_of(pair[1].mean[error.name]))
    places = {picture.title: i for i, picture in enumerate(pictures.slices[0].pictures)} if pictures else {}
    rows, rank, seen = [], 0, set()
    for view, line in with_error:
        same = (line.key, *(tuple(line.values.get(column.name, ())) for column in columns))
        if same in seen:
            continue
        seen.add(same)
        rank += not is_bound(line)
        cells = tuple(_cell(view, line, column) for column in columns)
        rows.append(RankRow(None if is_bound(line) else rank, line.name, places.get(line.name), cells))
    headings = tuple(RankHeading(column.name, column.heading, column.explanation) for column in columns)
    to = "the aligned truth" if error.name == TRUE_ERROR else "the label"
    return RankingSection(error.heading, to, headings, tuple(rows))


def _cell(view: TableView, line: Line, column: Column) -> RankCell:
    cell = view.cell(line, column, compared=False)
    if cell.value is None:
        return RankCell("–", None)
    ends = line.interval(column)
    low, high = (None, None) if ends is None else (ends.low, ends.high)
    return RankCell(minus(cell.text), cell.value, minus(cell.spread), low, high, cell.is_beaten)
