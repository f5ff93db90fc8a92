"""Between a floor and a ceiling: how far a line goes from the untouched uLDCT to the oracle, and which filter beats it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.tables import FILTERS, UNTOUCHED
from ipv2_bench.metrics.base import Column
from ipv2_bench.metrics.uncertainty import Interval, interval
from ipv2_bench.purification.strategy import ORACLE


def is_bound(line: Line) -> bool:
    """Whether a line is itself part of floor or ceiling: the uLDCT, a filter, or an oracle."""
    return line.key == UNTOUCHED or line.key in FILTERS or line.strategy == ORACLE


def way_to_oracle(lines: Sequence[Line], line: Line, column: str) -> Interval | None:
    """The share of the way from the untouched uLDCT (0) to the same denoiser trained on aligned pairs (1).

    ``None`` for a line of floor or ceiling, where either end is not measured, or where the oracle is no better than the uLDCT in
    every draw, so that there is no way to go.
    """
    if is_bound(line) or line.key is None:
        return None
    own = [x for x in lines if x.label == line.label]
    start = next((x for x in own if x.key == UNTOUCHED), None)
    end = next((x for x in own if x.key == line.key and x.strategy == ORACLE), None)
    if start is None or end is None or line.sample is None:
        return None
    three = (line, start, end)
    if len({x.seeds for x in three}) > 1 or not all(column in x.values and column in x.replicates for x in three):
        return None
    (value, low, high), drawn = (np.asarray(x.values[column]) for x in three), [x.replicates[column] for x in three]
    lengths = [low - high, drawn[1] - drawn[2]]
    if any((np.sign(length) != np.sign(lengths[0].flat[0])).any() or (length == 0).any() for length in lengths):
        return None
    values, replicates = (low - value) / lengths[0], (drawn[1] - drawn[0]) / lengths[1]
    return interval(values.tolist(), replicates, line.sample, line.units.get(column))


def better_filter(lines: Sequence[Line], line: Line, column: Column) -> Line | None:
    """The best of the classical filters, where it is better than the line in a column; ``None`` otherwise."""
    if is_bound(line) or column.name not in line.mean:
        return None
    filters = [x for x in lines if x.label == line.label and x.key in FILTERS and column.name in x.mean]
    if not filters:
        return None
    best = min(filters, key=lambda x: column.cost_of(x.mean[column.name]))
    return best if column.better(best.mean[column.name], line.mean[column.name]) else None
