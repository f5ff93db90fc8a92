"""A table as it is shown, whatever the medium: its columns, and for each cell the value, interval, change and mark."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ipv2_bench.benchmark.rows.bounds import better_filter, way_to_oracle
from ipv2_bench.benchmark.rows.lines import Line, baseline, best, table_lines
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.benchmark.views.line_pairs import LinePair
from ipv2_bench.metrics.base import Column, Scale
from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.metrics.uncertainty import Interval

MAIN, DETAIL = ("distance", "fidelity"), ("detail", "structure")
"""Groups of columns in a table, and in its details."""

FLOOR = "rmse_hu"
"""Column in which lines are held to the classical filters and to the oracle."""

WAY = "of the way to the oracle"
"""Heading of the share of the way."""

MOST_DECIMALS = 6
"""Ends of an interval that need more decimals are shown as powers of ten."""


@dataclass(frozen=True)
class Cell:
    """A measured value of a line.

    Attributes
    ----------
    column
        Its column.
    value
        ``None`` where it is not measured.
    spread
        The 95 % interval, such as ``[0.31, 2.1]``, or the standard deviation over seeds, such as ``± 1.1``; empty where there
        is neither.
    change
        Change against the baseline, such as ``-12 %``; empty where there is none.
    certain
        Whether the interval of the paired difference to the baseline excludes zero.
    better
        Whether the change is an improvement.
    is_best
        Whether the line is better than every other of its label, each difference excluding zero.
    is_beaten
        Whether a classical filter is better.
    """

    column: Column
    value: float | None
    spread: str = ""
    change: str = ""
    certain: bool = False
    better: bool = False
    is_best: bool = False
    is_beaten: bool = False

    @property
    def text(self) -> str:
        """The value with the column's digits; ``–`` where it is not measured."""
        return "–" if self.value is None else self.column.text(self.value)


@dataclass(frozen=True)
class TableView:
    """A table with its lines.

    Attributes
    ----------
    table, catalogue
        The specification, and the measures.
    lines
        Those that have rows.
    meaningful
        ``False`` for sizes that only try every path.
    """

    table: Table
    catalogue: Catalogue
    lines: list[Line]
    meaningful: bool

    @classmethod
    def of(cls, table: Table, rows: Sequence[Sequence[Row]], catalogue: Catalogue, meaningful: bool = True) -> TableView:
        """The view of a table's rows; ``meaningful`` counts where there is no row."""
        stated = [row.provenance.meaningful for of_line in rows for row in of_line]
        return cls(table, catalogue, table_lines(table, rows), all(stated or [meaningful]))

    @property
    def heading(self) -> str:
        """How the table is called: ``table1`` is "Table 1"."""
        return heading_of(self.table.key)

    def present(self, *groups: str) -> list[Column]:
        """Columns of some groups that a line has, in the catalogue's order."""
        there = {name for line in self.lines for name in line.values}
        return [self.catalogue.columns[name] for name in self.catalogue.of_group(*groups) if name in there]

    @property
    def published(self) -> list[Column]:
        """Columns that have published values in this table."""
        there = {name for values in self.table.published.values() for name in values}
        return [c for c in self.catalogue.columns.values() if c.name in there]

    @cached_property
    def labels(self) -> dict[str, list[Line]]:
        """Lines by their label."""
        return {line.label: [x for x in self.lines if x.label == line.label] for line in self.lines}

    @cached_property
    def best_lines(self) -> dict[tuple[str, str], Line | None]:
        """Label and column → the line that is better than every other; ``None`` where there is none."""
        columns = self.present(*MAIN, *DETAIL)
        return {(label, c.name): best(own, c) for label, own in self.labels.items() for c in columns}

    @property
    def marks_any(self) -> bool:
        """Whether a line is marked as best in a column of the table itself."""
        names = {c.name for c in self.present(*MAIN)}
        return any(line is not None for (_, name), line in self.best_lines.items() if name in names)

    def cell(self, line: Line, column: Column, compared: bool = True) -> Cell:
        """A cell of the table; ``compared`` adds the change against the baseline."""
        name = column.name
        if name not in line.values:
            return Cell(column, None)
        base = baseline(self.lines, line) if compared else None
        pair = None if base is None else LinePair(line, base)
        if pair is None or not pair.has(column):
            best, beaten = self._is_best(line, column, compared), self._is_beaten(line, column)
            return Cell(column, line.mean[name], spread(line, column), is_best=best, is_beaten=beaten)
        return Cell(
            column,
            line.mean[name],
            spread(line, column),
            change_text(column, pair),
            pair.is_certain(column),
            pair.improves(column),
            self._is_best(line, column, compared),
            self._is_beaten(line, column),
        )

    def _is_best(self, line: Line, column: Column, compared: bool) -> bool:
        return compared and self.best_lines.get((line.label, column.name)) is line

    def _is_beaten(self, line: Line, column: Column) -> bool:
        return column.name == FLOOR and better_filter(self.lines, line, column) is not None

    @property
    def beats_any(self) -> bool:
        """Whether a classical filter is better than some line."""
        column = self.catalogue.columns[FLOOR]
        return any(self._is_beaten(line, column) for line in self.lines)

    @cached_property
    def ways(self) -> dict[tuple[str, str], str]:
        """Label and name of a line → its share of the way to the oracle with its interval; lines without one are left out."""
        shares = {(line.label, line.name): way_to_oracle(self.lines, line, FLOOR) for line in self.lines}
        return {name: way_text(share) for name, share in shares.items() if share is not None}

    def way(self, line: Line) -> str:
        """The share of the way from the uLDCT to the oracle, in RMSE, with its interval; ``–`` where there is none."""
        return self.ways.get((line.label, line.name), "–")

    def published_text(self, line: Line, column: Column) -> str:
        """The published value of a line; ``ours`` for a strategy of ours, ``–`` where none is published."""
        if column.name in line.published:
            return f"{line.published[column.name]:g}"
        return "ours" if line.ours else "–"


def heading_of(key: str) -> str:
    """A table's key in words: ``table1`` is "Table 1"."""
    spaced = re.sub(r"(?<=[a-z])(?=\d)", " ", key.replace("_", " "))
    return spaced.capitalize() if key.islower() else key.replace("_", " ")


def spread(line: Line, column: Column) -> str:
    """The interval, such as ``[0.31, 2.1]``; without draws the standard deviation over seeds; empty with neither."""
    ends = line.interval(column)
    if ends is not None:
        return interval_text(ends.low, ends.high, column.scale)
    name = column.name
    return f"± {_two_digits(line.std[name])}" if name in line.std and line.sample is None else ""


def interval_text(low: float, high: float, scale: Scale) -> str:
    """An interval in brackets, with two digits of its width.

    An end that is nearer to the end of its scale (0, or ±1 for ``fisher``) has two digits of that distance: it never looks as if
    it reached what it cannot.
    """
    texts = []
    for end in (low, high):
        room = {"log": abs(end), "fisher": 1.0 - abs(end), "identity": np.inf}[scale]
        finest = min(high - low, room) if room > 0 else high - low
        decimals = 0 if finest <= 0 else max(0, 1 - math.floor(math.log10(finest)))
        texts.append(f"{end:z.{decimals}f}" if decimals <= MOST_DECIMALS else f"{end:.2g}")
    return f"[{texts[0]}, {texts[1]}]"


def way_text(share: Interval) -> str:
    """A share of the way in percent with its interval, such as ``84 % [71, 97]``."""
    ends = f" [{100 * share.low:.0f}, {100 * share.high:.0f}]" if math.isfinite(share.low) else ""
    return f"{100 * share.mean:.0f} %{ends}"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def change_text(column: Column, pair: LinePair) -> str:
    """The change against a baseline: in dB where the unit is dB, in percent of a positive value, else empty."""
    if column.unit == "dB":
        return f"{pair.change(column):+.1f} dB"
    share = pair.relative_change(column)
    return "" if share is None else f"{100.0 * share:+.0f} %"
