"""Which lines of a table are held against which, and in how many pairs a measure improves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.views.line_pairs import LinePair, baseline_pairs, distinct_titles, newcomer_pairs
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column

VARIANTS = "Variants against the unchanged denoiser"


@dataclass(frozen=True)
class Comparison(LinePair):
    """A pair of lines as the page shows it.

    Attributes
    ----------
    question
        The question that the pair answers.
    group, name
        Heading and name of the pair in a chart.
    """

    question: str
    group: str
    name: str


def comparisons_of(view: TableView) -> list[Comparison]:
    """What a table compares: newcomers with the others, variants with what they vary, strategies with IPv1."""
    if view.table.newcomers:
        titles = distinct_titles(view.lines)
        return [
            Comparison(
                line=pair.line,
                base=pair.base,
                question=f"{titles[pair.line.key]} + {pair.line.strategy} against the others",
                group=f"{titles[pair.line.key]} + {pair.line.strategy}",
                name=f"against {titles[pair.base.key]}",
            )
            for pair in newcomer_pairs(view.lines, view.table.newcomers)
        ]
    comparisons = []
    for pair in baseline_pairs(view.lines):
        line = pair.line
        question = VARIANTS if line.variant_of else f"Trained on {line.strategy} instead of IPv1"
        group = "Variants" if line.variant_of else line.strategy
        comparisons.append(Comparison(line, pair.base, question, group, line.denoiser or line.name))
    return comparisons


def relative_range(pairs: Sequence[LinePair], column: Column) -> str:
    """The smallest and largest relative change in percent, such as ``−66 to −12 %``; empty without positive values."""
    changes = [100 * share for pair in pairs if (share := pair.relative_change(column)) is not None]
    if not changes:
        return ""
    low, high = (f"{x:+.0f}".replace("-", "−") for x in (min(changes), max(changes)))
    return f"{low} %" if low == high else f"{low} to {high} %"
