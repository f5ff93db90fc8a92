"""What denoising costs beside what it gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.views.html.charts.drawing import TONES
from ipv2_bench.benchmark.views.html.charts.points import ChartPoint, PointChart, points
from ipv2_bench.benchmark.views.html.charts.scale import short
from ipv2_bench.benchmark.views.html.main_measures import main_error
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.fingerprint import digest
from ipv2_bench.metrics.base import Column

if TYPE_CHECKING:
    from ipv2_bench.benchmark.rows.make import TableRows

TRAINING = {"parameters": "parameters", "seconds_training": "seconds of training"}
"""What is shown besides the measures of cost: facts of a cell that are no measures, since tables do not rank by them."""

RESTLESS = 1.2
"""Ratio of two times of the same work from which the page says that they differ."""

OF_THE_MACHINE = ("seconds_per_slice", "inference_memory_mb", "seconds_training")
"""What another machine changes."""


@dataclass(frozen=True)
class LegendEntry:
    """A strategy and the number of its colour."""

    name: str
    tone: int


@dataclass(frozen=True)
class CostRow:
    """A line and its numbers; ``None`` where there is none."""

    name: str
    numbers: tuple[str | None, ...]


@dataclass(frozen=True)
class Machine:
    """What computed a cell."""

    device: str
    threads: int

    @property
    def text(self) -> str:
        """The machine in words."""
        return f"{self.device}, {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True)
class CostSection:
    """The section.

    Attributes
    ----------
    machine, training
        In words, what computed the cells whose times and memory are compared, and how long each was trained; ``None`` where it
        is not known, or trainings differ.
    elsewhere
        Names of the lines whose times and memory are left out, since another machine computed them.
    spread
        By how many times the times of one denoiser differ at most, in words; ``None`` where they hardly do.
    chart, legend
        The error over the time per slice, where there are times.
    headings, rows
        The table.
    """

    machine: str | None
    training: str | None
    elsewhere: tuple[str, ...]
    spread: str | None
    chart: PointChart | None
    legend: tuple[LegendEntry, ...]
    headings: tuple[str, ...]
    rows: tuple[CostRow, ...]


def cost_section(views: Sequence[TableView], rows: TableRows, palette: Palette) -> CostSection | None:
    """The costs of the first table of denoised images beside the error; ``None`` where nothing was denoised.

    Times and memory are compared between the cells of one machine, that of most cells; those of others are left out. Times of
    training are compared where every cell was trained equally long.
    """
    view = next((view for view in views if not view.table.of_labels), None)
    if view is None or not (columns := view.present("cost")) or (error := main_error(view)) is None:
        return None
    every = [of_line for of_line in rows[view.table.key] if of_line]
    machine = _most_common(every)
    elsewhere = [line for line, own in zip(view.lines, every, strict=False) if _machines(own) - {machine}]
    budgets = {digest(row.provenance.budget.model_dump(mode="json")) for own in every for row in own}
    headings = {column.name: column.heading for column in columns}
    headings |= {k: v for k, v in TRAINING.items() if k not in headings and (k != "seconds_training" or len(budgets) < 2)}
    headings |= {error.name: error.heading}
    lines = [line for line in view.lines if columns[0].name in line.values]
    strategies = list(dict.fromkeys(line.strategy for line in lines))
    compared = [line for line in lines if line not in elsewhere]
    budget = every[0][0].provenance.budget if len(budgets) == 1 else None
    return CostSection(
        machine=None if machine is None else machine.text,
        training=None if budget is None else f"{budget.length} of batch {budget.batch}",
        elsewhere=tuple(line.name for line in elsewhere),
        spread=_spread(compared, columns[0]),
        chart=_chart(view, compared, columns[0], error, palette),
        legend=tuple(LegendEntry(s, palette.tones[s] % TONES) for s in strategies) if len(strategies) > 1 else (),
        headings=tuple(headings.values()),
        rows=tuple(_row(line, headings, line in elsewhere) for line in lines),
    )


def _machines(rows: Sequence[Row]) -> set[Machine]:
    return {Machine(row.cost.device, row.cost.threads) for row in rows if row.cost}


def _most_common(rows: Sequence[Sequence[Row]]) -> Machine | None:
    """The machine of most lines; ``None`` where none is known."""
    counts = Counter(machine for of_line in rows for machine in sorted(_machines(of_line), key=lambda m: m.text))
    return counts.most_common(1)[0][0] if counts else None


def _row(line: Line, headings: Iterable[str], is_elsewhere: bool) -> CostRow:
    shown = {k for k in headings if k in line.values and not (is_elsewhere and k in OF_THE_MACHINE)}
    return CostRow(line.name, tuple(short(line.mean[k]) if k in shown else None for k in headings))


def _spread(lines: Sequence[Line], column: Column) -> str | None:
    """How far the times of one denoiser, which does the same work in each line, are from each other."""
    times: dict[str | None, list[float]] = {}
    for line in lines:
        times.setdefault(line.key, []).append(line.mean[column.name])
    most = max((max(own) / min(own) for own in times.values() if min(own) > 0), default=1.0)
    return f"{most:.1f}" if most >= RESTLESS else None


def _chart(
    view: TableView, lines: Sequence[Line], across: Column, error: Column, palette: Palette
) -> PointChart | None:
    shown: list[ChartPoint] = []
    for line in lines:
        x, y = line.mean[across.name], line.mean[error.name]
        if x > 0:  # the axis is logarithmic
            label = None if line.denoiser in {point.line for point in shown} else line.denoiser
            shown.append(ChartPoint(line.name, x, y, tone=palette.tone(view, line), line=line.denoiser, label=label))
    title = f"{error.heading} against {across.heading}"
    return points("cost-chart", title, f"{across.heading} (logarithmic)", error.heading, shown, log=True) if shown else None
