"""What denoising costs beside what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.benchmark.views.html.charts.drawing import TONES
from ipv2_bench.benchmark.views.html.charts.points import ChartPoint, PointChart, points
from ipv2_bench.benchmark.views.html.charts.scale import short
from ipv2_bench.benchmark.views.html.main_measures import main_error
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.table_view import TableView

if TYPE_CHECKING:
    from ipv2_bench.benchmark.rows.make import TableRows

TRAINING = {"parameters": "parameters", "seconds_training": "training s"}
"""What is shown besides the measures of cost: facts of a cell that are no measures, since tables do not rank by them."""


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
class CostSection:
    """The section: devices that computed the cells, chart with legend, and the table's headings and rows."""

    devices: tuple[str, ...]
    chart: PointChart
    legend: tuple[LegendEntry, ...]
    headings: tuple[str, ...]
    rows: tuple[CostRow, ...]


def cost_section(views: Sequence[TableView], rows: TableRows, palette: Palette) -> CostSection | None:
    """The costs of the first table of denoised images beside the error; ``None`` where nothing was denoised."""
    view = next((view for view in views if not view.table.of_labels), None)
    if view is None or not (columns := view.present("cost")) or (error := main_error(view)) is None:
        return None
    across = columns[0]
    lines = [line for line in view.lines if across.name in line.values]
    labelled: set[str | None] = set()
    shown = []
    for line in lines:
        label = None if line.denoiser in labelled else line.denoiser
        labelled.add(line.denoiser)
        x, y = line.mean[across.name], line.mean[error.name]
        shown.append(ChartPoint(line.name, x, y, tone=palette.tone(view, line), line=line.denoiser, label=label))
    title = f"{error.heading} against {across.heading}"
    chart = points("cost-chart", title, f"{across.heading} (logarithmic)", error.heading, shown, log=True)
    strategies = list(dict.fromkeys(line.strategy for line in lines))
    own = {column.name: column.heading for column in columns}
    headings = {**own, **{k: v for k, v in TRAINING.items() if k not in own}, error.name: error.heading}
    return CostSection(
        devices=tuple(sorted({row.cost.device for of_line in rows[view.table.key] for row in of_line[:1] if row.cost})),
        chart=chart,
        legend=tuple(LegendEntry(s, palette.tones[s] % TONES) for s in strategies) if len(strategies) > 1 else (),
        headings=tuple(headings.values()),
        rows=tuple(CostRow(x.name, tuple(short(x.mean[k]) if k in x.values else None for k in headings)) for x in lines),
    )
