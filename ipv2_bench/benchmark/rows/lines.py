"""The lines of a table: rows joined over their seeds, with intervals, paired differences and the best line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.tables import FILTERS, Table
from ipv2_bench.metrics.base import Column
from ipv2_bench.metrics.uncertainty import Interval, Sample, interval
from ipv2_bench.purification.strategy import ORACLE


@dataclass(frozen=True)
class Line:
    """One line of a rendered table.

    Attributes
    ----------
    label, denoiser, strategy, modules
        What names it: label, title of the denoiser (``None`` for a line of labels), strategy, modules that are on.
    key, variant_of
        Key of the denoiser (titles may repeat), and of the one that it varies.
    n_images, seeds
        Test slices, and training seeds.
    published
        Published values by column.
    values
        Each column seed by seed.
    replicates
        The same on the bootstrap's draws, [seeds, B], which are of ``sample``.
    sample
        What the draws were taken of; ``None`` without draws.
    units
        How many patients have a column that some lack.
    ours
        Whether its strategy has an option of ours, which the paper does not publish.
    """

    label: str
    denoiser: str | None
    strategy: str
    modules: str
    key: str | None
    variant_of: str | None
    n_images: int
    seeds: tuple[int, ...]
    published: dict[str, float] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    replicates: dict[str, np.ndarray] = field(default_factory=dict)
    sample: Sample | None = None
    units: dict[str, int] = field(default_factory=dict)
    ours: bool = False

    @cached_property
    def mean(self) -> dict[str, float]:
        """Mean of each column over the seeds."""
        return {k: sum(v) / len(v) for k, v in self.values.items()}

    @cached_property
    def std(self) -> dict[str, float]:
        """Standard deviation of each column over the seeds, where there are several."""
        return {k: float(np.std(v, ddof=1)) for k, v in self.values.items() if len(v) > 1}

    @property
    def name(self) -> str:
        """The line in words."""
        return f"{self.denoiser} + {self.strategy}" if self.denoiser else f"{self.strategy}(NDCT)"

    def interval(self, column: Column) -> Interval | None:
        """The interval of a column's mean on the scale of the column; ``None`` where there is none."""
        key = (column.name, column.scale)
        if key not in self._intervals:
            self._intervals[key] = self._interval(column)
        return self._intervals[key]

    def difference_to(self, other: Line, column: str) -> Interval | None:
        """The interval of the paired difference ``self − other`` in the unit of a column, whatever its scale.

        ``None`` where there is none.
        """
        _, of_column = self._differences.setdefault(id(other), (other, {}))
        if column not in of_column:
            of_column[column] = self._difference(other, column)
        return of_column[column]

    @cached_property
    def _intervals(self) -> dict[tuple[str, str], Interval | None]:
        """Intervals that were asked for: tables, CSV files and page show the same ones."""
        return {}

    @cached_property
    def _differences(self) -> dict[int, tuple[Line, dict[str, Interval | None]]]:
        """Paired differences that were asked for, by the identity of the other line, which is kept with them."""
        return {}

    def _interval(self, column: Column) -> Interval | None:
        name = column.name
        if self.sample is None or name not in self.replicates or name not in self.values:
            return None
        own = interval(self.values[name], self.replicates[name], self.sample, self.units.get(name), column.scale)
        return own if math.isfinite(own.low) and math.isfinite(own.high) else None

    def _difference(self, other: Line, column: str) -> Interval | None:
        both = all(column in x.replicates and column in x.values for x in (self, other))
        if self.sample is None or self.seeds != other.seeds or not both:
            return None
        values = np.subtract(self.values[column], other.values[column])
        replicates = self.replicates[column] - other.replicates[column]
        difference = interval(values.tolist(), replicates, self.sample, self.units.get(column))
        return difference if math.isfinite(difference.low) else None


def table_lines(table: Table, rows: Sequence[Sequence[Row]]) -> list[Line]:
    """Join the rows of each of a table's lines over their seeds; lines without a row are left out."""
    return [_line(table, index, of_line) for index, of_line in enumerate(rows) if of_line]


def _line(table: Table, index: int, rows: Sequence[Row]) -> Line:
    first = rows[0]
    each = [row.values for row in rows]
    values = {k: [v[k] for v in each] for k in each[0] if all(k in v for v in each)}
    replicates = {k: np.stack([r.drawn[k] for r in rows]) for k in values if all(k in r.drawn for r in rows)}
    title = first.denoiser.title if first.denoiser else None
    outside = first.denoiser_key is not None and ":" in first.denoiser_key
    published = {} if outside else table.published.get((first.label, title, first.strategy), {})
    return Line(
        label=first.label,
        denoiser=title,
        strategy=first.strategy,
        modules=first.modules,
        key=first.denoiser_key,
        variant_of=first.denoiser.variant_of if first.denoiser else None,
        n_images=first.n_images,
        seeds=tuple(row.seed for row in rows),
        published=published,
        values=values,
        replicates=replicates,
        sample=first.sample,
        units=first.n_units,
        ours=table.lines[index].strategy.has_options if index < len(table.lines) else False,
    )


def baseline(lines: Sequence[Line], line: Line) -> Line | None:
    """The line to compare with: IPv1 with the same label and denoiser, or for a variant the denoiser that it varies."""
    if line.strategy == ORACLE:  # a ceiling is no improvement over anything
        return None
    own = (line.label, line.key, "IPv1")
    candidates = [x for x in lines if (x.label, x.key, x.strategy) == own]
    if line.variant_of:
        varied = (line.label, line.variant_of, line.strategy)
        candidates += [x for x in lines if (x.label, x.key, x.strategy) == varied]
    return next((x for x in candidates if x is not line), None)


def best(lines: Sequence[Line], column: Column) -> Line | None:
    """The one line of a label that is better than every other but the oracles, each paired difference excluding zero.

    ``None`` where there is none, or there are too few seeds or patients to tell.
    """
    rivals = [x for x in lines if column.name in x.values and (x.strategy != ORACLE or x.key in FILTERS)]
    if len(rivals) < 2:
        return None
    first = min(rivals, key=lambda line: column.cost_of(line.mean[column.name]))
    for other in rivals:
        if other is not first:
            d = first.difference_to(other, column.name)
            if d is None or not (d.tells and d.excludes_zero):
                return None
    return first
