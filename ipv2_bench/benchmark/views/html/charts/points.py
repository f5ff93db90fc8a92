"""Points over an axis: what ``point_chart`` of ``charts.html.j2`` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.views.html.charts.drawing import TONES, WIDTH, Chart, Label
from ipv2_bench.benchmark.views.html.charts.scale import Scale, Tick, scale, short, ticks_of

HEIGHT = 250.0


@dataclass(frozen=True)
class ChartPoint:
    """One point.

    Attributes
    ----------
    name
        Its name.
    x, y
        Its position in the units of the axes.
    tone, hollow
        Number of its colour; whether it is only outlined.
    line
        The line that it is on: its points are joined.
    label
        What is written beside it.
    """

    name: str
    x: float
    y: float
    tone: int = 0
    line: str | None = None
    label: str | None = None
    hollow: bool = False

    @property
    def description(self) -> str:
        """The point in words."""
        return f"{self.name}: {short(self.x)}, {short(self.y)}"


@dataclass(frozen=True)
class Mark:
    """A point as it is drawn; attributes as those of :class:`ChartPoint`, in units of the drawing."""

    description: str
    x: float
    y: float
    css: str


@dataclass(frozen=True)
class PointChart(Chart):
    """A chart of points.

    Attributes
    ----------
    across, up
        What x and y are.
    radius
        Of a point.
    x_ticks, y_ticks, joins, marks, labels
        What is drawn; a join is the positions (x, y) of a line's points.
    """

    across: str
    up: str
    radius: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    joins: tuple[tuple[tuple[float, float], ...], ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]


def points(
    key: str, title: str, across: str, up: str, shown: Sequence[ChartPoint], log: bool = False, caption: str | None = None
) -> PointChart:
    """Points over an axis of x that may be logarithmic; points of one ``line`` are joined.

    Parameters
    ----------
    key
        Unique on the page.
    title, caption
        Of the chart, and the text above it, the title when ``None``.
    across, up
        What x and y are, with their units.
    shown
        The points.
    log
        Logarithmic x.
    """
    x = scale([p.x for p in shown], 44.0, WIDTH - 14.0, zero=not log, log=log)
    y = scale([p.y for p in shown], HEIGHT - 44.0, 20.0, zero=False)
    lines = dict.fromkeys(p.line for p in shown if p.line)
    return PointChart(
        key=key,
        title=title,
        caption=caption or title,
        description=f"{across} and {up}: " + "; ".join(p.description for p in shown),
        width=WIDTH,
        height=HEIGHT,
        across=across,
        up=up,
        radius=5.0 if len(shown) < 40 else 2.5,
        x_ticks=ticks_of(x),
        y_ticks=ticks_of(y),
        joins=tuple(tuple((x(p.x), y(p.y)) for p in shown if p.line == line) for line in lines),
        marks=tuple(_mark(p, x, y) for p in shown),
        labels=_labels(shown, x, y),
    )


def _mark(point: ChartPoint, x: Scale, y: Scale) -> Mark:
    css = f"tone{point.tone % TONES}" + (" hollow" if point.hollow else "")
    return Mark(point.description, x(point.x), y(point.y), css)


def _labels(shown: Sequence[ChartPoint], x: Scale, y: Scale) -> tuple[Label, ...]:
    """Labels beside their points, moved down where they would overlap another."""
    labels = []
    taken: list[tuple[float, float, float]] = []
    for point in sorted((p for p in shown if p.label), key=lambda p: y(p.y)):
        text = point.label or ""
        width, height = 7.2 * len(text), y(point.y) + 4
        right = x(point.x) + 9 + width < WIDTH
        start = x(point.x) + 9 if right else x(point.x) - 9 - width
        while any(abs(height - h) < 13 and start < b and a < start + width for a, b, h in taken):
            height += 3
        taken.append((start, start + width, height))
        at = round(x(point.x) + (9 if right else -9), 1)
        labels.append(Label(text, at, round(height, 1), "start" if right else "end"))
    return tuple(labels)
