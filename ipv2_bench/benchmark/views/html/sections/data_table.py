"""Tables of lines and measures: what ``data_table`` of ``tables.html.j2`` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.views.html.charts.scale import minus
from ipv2_bench.benchmark.views.table_view import DETAIL, FLOOR, MAIN, WAY, TableView
from ipv2_bench.metrics.base import GROUPS, Column

MEASURED, PUBLISHED = "Distances, measured", "Published"
"""Headings of the columns that are to be compared."""


@dataclass(frozen=True)
class Change:
    """A change against the baseline: its text, whether it is an improvement, and whether its interval excludes zero."""

    text: str
    better: bool
    certain: bool


@dataclass(frozen=True)
class TableCell:
    """A cell.

    Attributes
    ----------
    text
        What it shows; ``None`` where nothing is measured or published.
    value
        The measured number; ``None`` for a published one.
    spread
        The interval, such as ``[0.31, 2.1]``; empty where there is none.
    change
        Against the baseline; ``None`` where it is not shown.
    is_best
        Whether the line is better than every other of its label.
    is_published
        Whether it is a published number.
    is_beaten
        Whether a classical filter is better.
    """

    text: str | None = None
    value: float | None = None
    spread: str = ""
    change: Change | None = None
    is_best: bool = False
    is_published: bool = False
    is_beaten: bool = False


@dataclass(frozen=True)
class Heading:
    """Heading of a column, and what its number means."""

    text: str
    explanation: str = ""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns under one heading."""

    title: str
    headings: tuple[Heading, ...]


@dataclass(frozen=True)
class TableRow:
    """The name of a line and its cells."""

    name: str
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class RowGroup:
    """Rows of one label."""

    label: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True)
class DataTable:
    """A table: the id of its region, its caption, the heading of its names, its columns and its rows."""

    key: str
    caption: str
    corner: str
    column_groups: tuple[ColumnGroup, ...]
    row_groups: tuple[RowGroup, ...]

    @property
    def width(self) -> int:
        """Number of columns, that of the names included."""
        return 1 + sum(len(group.headings) for group in self.column_groups)


@dataclass(frozen=True)
class _Columns:
    """Columns of one kind under one heading."""

    title: str
    kind: Literal["measured", "published", "missing", "way"]
    columns: tuple[Column, ...]


def values_table(view: TableView) -> DataTable:
    """What was measured, each value with its interval and change against the baseline, beside what is published."""
    missing = lacks_published(view)
    groups = [
        _Columns(MEASURED, "measured", tuple(view.present("distance"))),
        _Columns(MEASURED, "missing", tuple(view.published) if missing else ()),
        _Columns(PUBLISHED, "published", tuple(view.published)),
        *(_Columns(GROUPS[g], "measured", tuple(view.present(g))) for g in MAIN if g != "distance"),
        _Columns("RMSE", "way", (view.catalogue.columns[FLOOR],) if view.ways else ()),
    ]
    return _table(view, f"{view.table.key}-values", f"{view.heading}: {view.table.title}", groups, changes=True)


def detail_table(view: TableView) -> DataTable | None:
    """What else was measured; ``None`` where nothing was."""
    groups = [_Columns(GROUPS[g], "measured", tuple(view.present(g))) for g in DETAIL]
    if not any(group.columns for group in groups):
        return None
    return _table(view, f"{view.table.key}-detail", f"{view.heading} in detail", groups, changes=False)


def lacks_published(view: TableView) -> bool:
    """Whether the paper publishes distances of this table, and none of them is measured here."""
    measured = {column.name for column in view.present("distance")}
    return bool(view.published) and not any(name in measured for name in view.catalogue.published)


def names_of(columns: Iterable[Column]) -> str:
    """Headings of columns, joined by commas, that do not break at a hyphen."""
    return ", ".join(column.heading for column in columns).replace("-", "\u2011")


def _table(view: TableView, key: str, caption: str, groups: Sequence[_Columns], changes: bool) -> DataTable:
    groups = [group for group in groups if group.columns]
    titles = dict.fromkeys(group.title for group in groups)
    return DataTable(
        key=key,
        caption=caption,
        corner="Images" if view.table.of_labels else "Denoiser + training",
        column_groups=tuple(
            ColumnGroup(title, tuple(h for group in groups if group.title == title for h in _headings(group)))
            for title in titles
        ),
        row_groups=tuple(
            RowGroup(label, tuple(_row(view, line, groups, changes) for line in lines))
            for label, lines in view.labels.items()
        ),
    )


def _headings(group: _Columns) -> list[Heading]:
    if group.kind == "missing":
        return [Heading(names_of(group.columns))]
    if group.kind == "way":
        return [Heading(WAY, "Share of the way from the untouched uLDCT to the same denoiser trained on aligned pairs.")]
    return [Heading(column.heading, column.explanation) for column in group.columns]


def _row(view: TableView, line: Line, groups: Sequence[_Columns], changes: bool) -> TableRow:
    cells: list[TableCell] = []
    for group in groups:
        if group.kind == "missing":
            cells.append(TableCell())
        elif group.kind == "way":
            way = view.way(line)
            cells.append(TableCell(None if way == "–" else minus(way)))
        elif group.kind == "published":
            cells += [_published(view, line, column) for column in group.columns]
        else:
            cells += [_measured(view, line, column, changes) for column in group.columns]
    return TableRow(line.name, tuple(cells))


def _published(view: TableView, line: Line, column: Column) -> TableCell:
    absent = column.name not in line.published and not line.ours
    return TableCell(None if absent else view.published_text(line, column), is_published=True)


def _measured(view: TableView, line: Line, column: Column, changes: bool) -> TableCell:
    cell = view.cell(line, column)
    if cell.value is None:
        return TableCell()
    change = Change(minus(cell.change), cell.better, cell.certain) if changes and cell.change else None
    return TableCell(minus(cell.text), cell.value, minus(cell.spread), change, cell.is_best, is_beaten=cell.is_beaten)
