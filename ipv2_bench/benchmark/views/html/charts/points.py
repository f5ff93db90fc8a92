"""Points with intervals over an axis: what ``point_chart`` of ``charts.html.j2`` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.views.html.charts.bars import TONES, WIDTH, Label, Whisker
from ipv2_bench.benchmark.views.html.charts.scale import Scale, Tick, scale, short, ticks_of

HEIGHT = 250.0


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes
    ----------
    name
        Its name.
    x, y, low, high
        Its position in the units of the axes, and the ends of the interval of y, if there is one.
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
    low: float | None = None
    high: float | None = None
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
    """A point as it is drawn; attributes as those of :class:`Point`, in units of the drawing."""

    description: str
    x: float
    y: float
    css: str
    whisker: Whisker | None


@dataclass(frozen=True)
class PointChart:
    """A chart of points.

    Attributes
    ----------
    key
        A unique part of element ids.
    title, caption, description
        Its title, the text above it, and everything that it shows in words.
    across, up
        What x and y are.
    width, height, radius
        Of the drawing and of a point.
    x_ticks, y_ticks, joins, marks, labels
        What is drawn; a join is the positions (x, y) of a line's points.
    """

    key: str
    title: str
    caption: str
    description: str
    across: str
    up: str
    width: float
    height: float
    radius: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    joins: tuple[tuple[tuple[float, float], ...], ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]


def points(
    key: str, title: str, across: str, up: str, shown: Sequence[Point], log: bool = False, caption: str | None = None
) -> PointChart:
    """Points with intervals of y over an axis of x that may be logarithmic; points of one ``line`` are joined.

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
    y = scale([v for p in shown for v in (p.y, p.low, p.high) if v is not None], HEIGHT - 44.0, 20.0, zero=False)
    lines = dict.fromkeys(p.line for p in shown if p.line)
    return PointChart(
        key=key,
        title=title,
        caption=caption or title,
        description=f"{across} and {up}: " + "; ".join(p.description for p in shown),
        across=across,
        up=up,
        width=WIDTH,
        height=HEIGHT,
        radius=5.0 if len(shown) < 40 else 2.5,
        x_ticks=ticks_of(x),
        y_ticks=ticks_of(y),
        joins=tuple(tuple((x(p.x), y(p.y)) for p in shown if p.line == line) for line in lines),
        marks=tuple(_mark(p, x, y) for p in shown),
        labels=_labels(shown, x, y),
    )


def _mark(point: Point, x: Scale, y: Scale) -> Mark:
    both = None if point.low is None or point.high is None else Whisker(y(point.low), y(point.high))
    css = f"tone{point.tone % TONES}" + (" hollow" if point.hollow else "")
    return Mark(point.description, x(point.x), y(point.y), css, both)


def _labels(shown: Sequence[Point], x: Scale, y: Scale) -> tuple[Label, ...]:
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
