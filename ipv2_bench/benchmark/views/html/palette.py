"""The colour of each line, the same in every chart of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.purification.strategy import Strategy


@dataclass(frozen=True)
class Palette:
    """Numbers of colours, by the name of the strategy."""

    tones: dict[str, int]

    @classmethod
    def of(cls, views: Sequence[TableView]) -> Palette:
        """One colour for each strategy of the tables; IPv1+1+2 and IPv2 share one, since they train on the same pairs."""
        training = {line.strategy.name: _colour_name(line.strategy) for view in views for line in view.table.lines}
        shown = dict.fromkeys(line.strategy for view in views for line in view.lines)
        names = list(dict.fromkeys(training.get(name, name) for name in shown))
        return cls({name: names.index(training.get(name, name)) for name in shown})

    def tone(self, view: TableView, line: Line) -> int:
        """A line's colour: that of its strategy; a newcomer's or variant's where it is beside the others."""
        if view.table.newcomers or line.variant_of:
            return int(line.key in view.table.newcomers or bool(line.variant_of))
        return self.tones[line.strategy]


def _colour_name(strategy: Strategy) -> str:
    return strategy.training_name if strategy.modules.startswith("1+2") else strategy.name
