"""Which lines of a table are held against which, and in how many pairs a measure improves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.rows.lines import Line, baseline
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column
from ipv2_bench.metrics.uncertainty import Interval

VARIANTS = "Variants against the unchanged denoiser"


@dataclass(frozen=True)
class Pair:
    """A line and the one that it is compared with.

    Attributes
    ----------
    question
        The question that the pair answers.
    group, name
        Heading and name of the pair in a chart.
    line, base
        The two lines.
    """

    question: str
    group: str
    name: str
    line: Line
    base: Line

    def has(self, column: Column) -> bool:
        """Whether both lines have a measure."""
        return column.name in self.line.values and column.name in self.base.values

    def change(self, column: Column) -> float:
        """The measure of the line minus that of its base."""
        return self.line.mean[column.name] - self.base.mean[column.name]

    def improves(self, column: Column) -> bool:
        """Whether the line is better than its base."""
        return column.better(self.line.mean[column.name], self.base.mean[column.name])

    def worsens(self, column: Column) -> bool:
        """Whether the line is worse than its base."""
        return column.better(self.base.mean[column.name], self.line.mean[column.name])

    def difference(self, column: Column) -> Interval | None:
        """The interval of the paired difference; ``None`` where there is none."""
        return self.line.difference_to(self.base, column.name)

    def is_certain(self, column: Column) -> bool:
        """Whether the interval of the paired difference excludes zero."""
        difference = self.difference(column)
        return difference is not None and difference.excludes_zero


def pairs_of(view: TableView) -> list[Pair]:
    """What a table compares: newcomers with the others, variants with what they vary, strategies with IPv1."""
    newcomers = view.table.newcomers
    if newcomers:
        new = [line for line in view.lines if line.key in newcomers]
        others = [line for line in view.lines if line.key not in newcomers]
        return [
            Pair(f"{a.name} against the others", a.name, f"against {b.denoiser or b.name}", a, b)
            for a in new
            for b in others
        ]
    pairs = []
    for line in view.lines:
        base = baseline(view.lines, line)
        if base is not None:
            question = VARIANTS if line.variant_of else f"Trained on {line.strategy} instead of IPv1"
            group = "Variants" if line.variant_of else line.strategy
            pairs.append(Pair(question, group, line.denoiser or line.name, line, base))
    return pairs


def relative_range(pairs: Sequence[Pair], column: Column) -> str:
    """The smallest and largest relative change in percent, such as ``−66 to −12 %``; empty without positive values."""
    changes = [100 * (p.line.mean[column.name] / p.base.mean[column.name] - 1) for p in pairs if p.base.mean[column.name] > 0]
    if not changes:
        return ""
    low, high = (f"{x:+.0f}".replace("-", "−") for x in (min(changes), max(changes)))
    return f"{low} %" if low == high else f"{low} to {high} %"
