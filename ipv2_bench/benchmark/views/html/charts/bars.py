"""Bars with intervals, and paired differences beside zero: what ``bar_chart`` of ``charts.html.j2`` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.views.html.charts.drawing import TONES, WIDTH, Chart, Label
from ipv2_bench.benchmark.views.html.charts.scale import Scale, Tick, scale, short, ticks_of

ROW, AXIS = 20.0, 22.0
"""Height of a row and of the axis below, in units of the drawing."""


@dataclass(frozen=True)
class Bar:
    """One number of a chart.

    Attributes
    ----------
    name, group
        Its name, and the heading above it; rows of one group follow each other.
    value, low, high
        The number and the ends of its 95 % interval, if it has one.
    tone
        Number of its colour.
    certain, better
        For a difference: whether its interval excludes zero, and whether it is an improvement.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    tone: int = 0
    group: str | None = None
    certain: bool = False
    better: bool = False

    @property
    def description(self) -> str:
        """The bar in words."""
        whose = f"{self.group}, {self.name}" if self.group else self.name
        between = "" if self.low is None or self.high is None else f" ({short(self.low)} to {short(self.high)})"
        return f"{whose}: {short(self.value)}{between}"

    @property
    def extent(self) -> list[float]:
        """Every number that must be visible."""
        return [x for x in (self.value, self.low, self.high) if x is not None]


@dataclass(frozen=True)
class Whisker:
    """Ends of an interval, in units of the drawing."""

    low: float
    high: float


@dataclass(frozen=True)
class BarRow:
    """One row as it is drawn.

    Attributes
    ----------
    heading
        Above it, where a group begins; without text it is a gap after a group.
    description, name, text
        The row in words, its name as far as it fits, and its number.
    top
        Upper edge of the row.
    left, width
        Of a bar.
    mark
        Position of a difference.
    css
        Class of the bar's or mark's colour.
    whisker
        Its interval, if it has one.
    """

    heading: Label | None
    description: str
    name: str
    text: str
    top: float
    left: float
    width: float
    mark: float
    css: str
    whisker: Whisker | None


@dataclass(frozen=True)
class BarChart(Chart):
    """A chart of bars, or of paired differences.

    Attributes
    ----------
    of_differences
        Whether rows are differences beside the line of zero, and not bars from zero.
    indent, bottom
        Of names under a group, and the lower edge of the last row.
    rows, ticks, sides
        What is drawn.
    """

    of_differences: bool
    indent: float
    bottom: float
    rows: tuple[BarRow, ...]
    ticks: tuple[Tick, ...]
    sides: tuple[Label, ...]


def bars(key: str, title: str, rows: Sequence[Bar], caption: str | None = None) -> BarChart:
    """A horizontal bar for each row, from zero, with its interval as a whisker.

    Parameters
    ----------
    key
        Unique on the page.
    title, caption
        Of the chart, and the text above it, the title when ``None``.
    rows
        At least one.
    """
    return _chart(key, title, caption or title, rows, None)


def differences(key: str, title: str, rows: Sequence[Bar], lower_is_better: bool) -> BarChart:
    """Paired differences with their intervals beside the line of zero: filled where zero is excluded, hollow elsewhere."""
    return _chart(key, title, title, rows, ("◂ better", "worse ▸") if lower_is_better else ("◂ worse", "better ▸"))


def _chart(key: str, title: str, caption: str, bars: Sequence[Bar], sides: tuple[str, str] | None) -> BarChart:
    of_differences = sides is not None
    indent = 10.0 if any(bar.group for bar in bars) else 0.0
    left = min(176.0, max(indent + 7.8 * max(len(bar.name) for bar in bars) + 8, 60.0))
    axis = scale([x for bar in bars for x in bar.extent], left, WIDTH - 54.0)
    rows, top, group = [], 4.0, None
    for bar in bars:
        heading = None
        if bar.group != group:
            group = bar.group
            heading = Label(_cut(group or "", 54), 0.0, top + 16)
            top += 2.0 + ROW
        rows.append(_row(bar, heading, axis, top, int((left - indent) / 6.6), of_differences))
        top += ROW
    return BarChart(
        key=key,
        title=title,
        caption=caption,
        description="; ".join(bar.description for bar in bars),
        width=WIDTH,
        height=top + AXIS + (14 if sides else 0),
        of_differences=of_differences,
        indent=indent,
        bottom=top,
        rows=tuple(rows),
        ticks=ticks_of(axis),
        sides=_sides(sides, axis(0.0), left, top + 34) if sides else (),
    )


def _row(bar: Bar, heading: Label | None, axis: Scale, top: float, letters: int, of_differences: bool) -> BarRow:
    start, end = sorted((axis(0.0), axis(bar.value)))
    judged = ("good" if bar.better else "bad") + (" firm" if bar.certain else "")
    sign = "+" if of_differences and bar.value > 0 else ""
    return BarRow(
        heading=heading,
        description=bar.description,
        name=_cut(bar.name, letters),
        text=sign + short(bar.value),
        top=top,
        left=start,
        width=round(max(end - start, 1.0), 1),
        mark=axis(bar.value),
        css=judged if of_differences else f"tone{bar.tone % TONES}",
        whisker=None if bar.low is None or bar.high is None else Whisker(axis(bar.low), axis(bar.high)),
    )


def _sides(words: tuple[str, str], zero: float, left: float, y: float) -> tuple[Label, ...]:
    """What each side of zero means, where there is room for it."""
    before = [Label(words[0], round(zero - 4, 1), y, "end")] if zero - left > 30 else []
    after = [Label(words[1], round(zero + 4, 1), y)] if WIDTH - zero > 60 else []
    return (*before, *after)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
