"""Points with intervals over an axis, as SVG that scales and can be read aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ipv2_bench.benchmark.report.charts import TONES, WIDTH, svg
from ipv2_bench.benchmark.report.scales import Scale, scale, short


@dataclass(frozen=True)
class Point:
    """One point: its name, place, interval of y, the colour's number, the line it is on, and what stands beside it."""

    name: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    tone: int = 0
    line: str = ""
    label: str = ""
    hollow: bool = False


def points(key: str, title: str, across: str, up: str, shown: Sequence[Point], log: bool = False) -> str:
    """Points with intervals of y over an axis of x that may be logarithmic; points of one ``line`` are joined.

    Parameters
    ----------
    key
        An id of its own.
    title
        Of the chart.
    across, up
        What x and y are, with their units.
    shown
        The points.
    log
        Logarithmic x.
    """
    height = 250.0
    x = scale([p.x for p in shown], 44.0, WIDTH - 14.0, zero=not log, log=log)
    y = scale([v for p in shown for v in (p.y, p.low, p.high) if v is not None], height - 44.0, 20.0, zero=False)
    out = [f'<text class="side" x="0" y="12">{escape(up)}</text>']
    out.append(f'<text class="side" x="{WIDTH:g}" y="{height - 6:g}" text-anchor="end">{escape(across)}</text>')
    for t in y.ticks():
        out.append(f'<path class="grid" d="M40 {y(t):g}H{WIDTH:g}"/>')
        out.append(f'<text class="tick" x="36" y="{y(t) + 4:g}" text-anchor="end">{short(t)}</text>')
    for t in x.ticks():
        out.append(f'<path class="grid" d="M{x(t):g} 20V{height - 40:g}"/>')
        out.append(f'<text class="tick" x="{x(t):g}" y="{height - 26:g}" text-anchor="middle">{short(t)}</text>')
    for line in dict.fromkeys(p.line for p in shown if p.line):
        path = "L".join(f"{x(p.x):g} {y(p.y):g}" for p in shown if p.line == line)
        out.append(f'<path class="join" d="M{path}"/>')
    size = 5 if len(shown) < 40 else 2.5
    for p in shown:
        said = f"{p.name}: {short(p.x)}, {short(p.y)}"
        out.append(f"<g><title>{escape(said)}</title>")
        if p.low is not None and p.high is not None:
            out.append(f'<path class="whisker" d="M{x(p.x):g} {y(p.low):g}V{y(p.high):g}"/>')
        kind = f"point tone{p.tone % TONES}" + (" hollow" if p.hollow else "")
        out.append(f'<circle class="{kind}" cx="{x(p.x):g}" cy="{y(p.y):g}" r="{size:g}"/></g>')
    out += _labels(shown, x, y)
    said = f"{across} and {up}: " + "; ".join(f"{p.name}: {short(p.x)}, {short(p.y)}" for p in shown)
    return svg(key, title, said, height, "".join(out))


def _labels(shown: Sequence[Point], x: Scale, y: Scale) -> list[str]:
    """Labels beside their points, moved down where they would lie on another."""
    out: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for p in sorted((p for p in shown if p.label), key=lambda p: y(p.y)):
        wide, at = 7.2 * len(p.label), y(p.y) + 4
        right = x(p.x) + 9 + wide < WIDTH
        start = x(p.x) + 9 if right else x(p.x) - 9 - wide
        while any(abs(at - h) < 13 and start < b and a < start + wide for a, b, h in taken):
            at += 3
        taken.append((start, start + wide, at))
        anchor = f'x="{x(p.x) + 9:g}"' if right else f'x="{x(p.x) - 9:g}" text-anchor="end"'
        out.append(f'<text {anchor} y="{at:g}">{escape(p.label)}</text>')
    return out
