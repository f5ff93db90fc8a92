"""A table with its charts and what must be known to read it."""

from __future__ import annotations

from dataclasses import dataclass

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.views.html.charts.bars import Bar, BarChart, bars
from ipv2_bench.benchmark.views.html.main_measures import charted, main_distance
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.html.sections.data_table import (
    DataTable,
    detail_table,
    lacks_published,
    names_of,
    values_table,
)
from ipv2_bench.benchmark.views.sentences import COPYING, bounds, certainty, directions, legend
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column


@dataclass(frozen=True)
class TableSection:
    """The section: key, heading and title of the table, charts, tables, notes, and the published directions in words."""

    key: str
    heading: str
    title: str
    charts: tuple[BarChart, ...]
    values: DataTable
    notes: tuple[str, ...]
    directions: tuple[str, ...]
    detail: DataTable | None


def table_section(view: TableView, palette: Palette) -> TableSection:
    """The section of a table."""
    notes = [legend(view.lines) + certainty(view, "below")]
    if lacks_published(view):
        notes.append(_not_measured(view))
    if view.table.of_labels:
        notes.append(COPYING)
    notes += bounds(view)
    return TableSection(
        key=view.table.key,
        heading=view.heading,
        title=view.table.title,
        charts=tuple(_charts(view, palette)),
        values=values_table(view),
        notes=tuple(notes),
        directions=tuple(directions(view)),
        detail=detail_table(view),
    )


def _not_measured(view: TableView) -> str:
    others = " and ".join(column.heading for column in view.present("distance"))
    return (
        f"A dash under “{names_of(view.published)}”: they are not measured here (ipv2-bench check says how to get the weights "
        "of their networks)."
    ) + (f" Other distances, in feature spaces that every installation has, are shown instead: {others}." if others else "")


def _charts(view: TableView, palette: Palette) -> list[BarChart]:
    """The main distance, what is published of it, and the errors against the truth."""
    charts = [_bars(view, palette, column, published=False) for column in charted(view)]
    shown = {name for line in view.lines for name in line.published}
    name = view.catalogue.main_distance(shown)
    if name is not None:
        after = 1 if main_distance(view) else 0
        charts.insert(after, _bars(view, palette, view.catalogue.columns[name], published=True))
    return charts


def _bars(view: TableView, palette: Palette, column: Column, published: bool) -> BarChart:
    # Fidelity does not depend on the label: a table with two labels shows it once.
    by_label = column.group == "distance"
    several_labels = len(view.labels) > 1
    several_denoisers = len({(line.denoiser, line.key) for line in view.lines}) > 1
    rows = []
    for line in view.lines:
        number = line.published.get(column.name) if published else line.mean.get(column.name)
        if number is None or (not by_label and line.label != next(iter(view.labels))):
            continue
        trained_otherwise = _trained_otherwise(view, line)
        parts = [line.denoiser] if line.denoiser and several_denoisers and trained_otherwise else []
        parts += [f"to {line.label}"] if several_labels and by_label else []
        name = line.name if not line.denoiser else line.strategy if trained_otherwise else line.denoiser
        ends = None if published else line.interval(column)
        low, high = (ends.low, ends.high) if ends else (None, None)
        rows.append(Bar(name, number, low, high, palette.tone(view, line), ", ".join(parts) or None))
    caption = f"{column.heading}, published" if published else column.heading
    key = f"{view.table.key}-{'published' if published else 'measured'}-{column.name}"
    return bars(key, f"{view.heading}: {caption}", rows, caption)


def _trained_otherwise(view: TableView, line: Line) -> bool:
    """Whether the table has another line of the same denoiser."""
    return sum((other.denoiser, other.key) == (line.denoiser, line.key) for other in view.lines) > 1
