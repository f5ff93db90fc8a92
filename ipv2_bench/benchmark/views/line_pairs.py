"""Lines of a table in pairs, one compared with the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.rows.lines import Line, baseline
from ipv2_bench.metrics.base import Column
from ipv2_bench.metrics.uncertainty import Interval


@dataclass(frozen=True)
class LinePair:
    """A line and the one that it is compared with, its base."""

    line: Line
    base: Line

    def has(self, column: Column) -> bool:
        """Whether both lines have a measure."""
        return column.name in self.line.values and column.name in self.base.values

    def change(self, column: Column) -> float:
        """The measure of the line minus that of its base."""
        return self.line.mean[column.name] - self.base.mean[column.name]

    def relative_change(self, column: Column) -> float | None:
        """:meth:`change` as a share of the base's measure; ``None`` where that is not positive."""
        before = self.base.mean[column.name]
        return self.change(column) / before if before > 0 else None

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


def baseline_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """Every line beside its baseline, as far as it has one."""
    return [LinePair(line, base) for line in lines if (base := baseline(lines, line)) is not None]


def newcomer_pairs(lines: Sequence[Line], newcomers: Sequence[str]) -> list[LinePair]:
    """Every newcomer beside every other line; ``newcomers`` are keys of denoisers."""
    new = [line for line in lines if line.key in newcomers]
    others = [line for line in lines if line.key not in newcomers]
    return [LinePair(line, other) for line in new for other in others]


def distinct_titles(lines: Sequence[Line]) -> dict[str | None, str]:
    """Key of a denoiser → its title, followed by the key where lines of several keys have the same title."""
    titles = {line.key: line.denoiser or line.name for line in lines}
    shared = Counter(titles.values())
    return {key: f"{title} ({key})" if shared[title] > 1 else title for key, title in titles.items()}
