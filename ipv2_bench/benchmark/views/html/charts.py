"""Bars with intervals, and paired differences beside zero, as SVG that scales and can be read aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ipv2_bench.benchmark.report.scales import Scale, scale, short

WIDTH, ROW, AXIS = 340.0, 20.0, 22.0
TONES = 6
"""Colours that style.css has for lines."""


@dataclass(frozen=True)
class Bar:
    """One bar: its name, the heading that it stands under, value and 95 % interval, and its colour's number.

    ``firm``: whether a difference excludes zero; ``good``: whether it is an improvement.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    tone: int = 0
    group: str = ""
    firm: bool = False
    good: bool = False

    @property
    def said(self) -> str:
        """The bar in words."""
        whose = f"{self.group}, {self.name}" if self.group else self.name
        between = (
            f" ({short(self.low)} to {short(self.high)})" if self.low is not None and self.high is not None else ""
        )
        return f"{whose}: {short(self.value)}{between}"

    @property
    def extent(self) -> list[float]:
        """Every number that must be seen."""
        return [x for x in (self.value, self.low, self.high) if x is not None]


def bars(key: str, title: str, rows: Sequence[Bar]) -> str:
    """A horizontal bar for each row, from zero, with its interval as a whisker; ``key`` is an id of its own."""
    return _chart(key, title, rows, differences=False)


def differences(key: str, title: str, rows: Sequence[Bar], lower_is_better: bool) -> str:
    """Paired differences with their intervals beside the line of zero: filled where zero is excluded, hollow elsewhere."""
    return _chart(key, title, rows, True, ("◂ better", "worse ▸") if lower_is_better else ("◂ worse", "better ▸"))


def _chart(key: str, title: str, rows: Sequence[Bar], differences: bool, sides: tuple[str, str] | None = None) -> str:
    indent = 10.0 if any(r.group for r in rows) else 0.0
    left = min(176.0, max(indent + 7.8 * max(len(r.name) for r in rows) + 8, 60.0))
    axis = scale([x for r in rows for x in r.extent], left, WIDTH - 54.0)
    out, y, group = [], 4.0, ""
    for r in rows:
        if r.group != group:
            group = r.group
            y += 2.0
            out.append(f'<text class="group" x="0" y="{y + 14:g}">{escape(_cut(group, 54))}</text>')
            y += ROW
        out.append(f"<g><title>{escape(r.said)}</title>{(_difference if differences else _bar)(r, axis, y)}")
        out.append(f'<text x="{indent:g}" y="{y + 14:g}">{escape(_cut(r.name, int((left - indent) / 6.6)))}</text>')
        out.append(f'<text class="value" x="{WIDTH:g}" y="{y + 14:g}">{_signed(r.value, differences)}</text></g>')
        y += ROW
    lines = _grid(axis, y)
    if sides:
        zero = axis(0.0)
        words = (f'<text class="side" x="{zero - 4:g}" y="{y + 34:g}" text-anchor="end">{sides[0]}</text>', "")
        words = (words[0], f'<text class="side" x="{zero + 4:g}" y="{y + 34:g}">{sides[1]}</text>')
        lines += words[0] * (zero - left > 30) + words[1] * (WIDTH - zero > 60)
    return svg(key, title, "; ".join(r.said for r in rows), y + AXIS + (14 if sides else 0), lines + "".join(out))


def _signed(number: float, differences: bool) -> str:
    return ("+" if differences and number > 0 else "") + short(number)


def _bar(r: Bar, axis: Scale, y: float) -> str:
    start, end = sorted((axis(0.0), axis(r.value)))
    bar = f'<rect class="tone{r.tone % TONES}" x="{start:g}" y="{y + 3:g}" width="{max(end - start, 1):.1f}" height="14" rx="2"/>'
    return bar + _whisker(r, axis, y)


def _difference(r: Bar, axis: Scale, y: float) -> str:
    kind = ("good" if r.good else "bad") + (" firm" if r.firm else "")
    return _whisker(r, axis, y) + f'<circle class="difference {kind}" cx="{axis(r.value):g}" cy="{y + 10:g}" r="5"/>'


def _whisker(r: Bar, axis: Scale, y: float) -> str:
    if r.low is None or r.high is None:
        return ""
    a, b, c = axis(r.low), axis(r.high), y + 10
    return f'<path class="whisker" d="M{a:g} {c - 4:g}V{c + 4:g}M{a:g} {c:g}H{b:g}M{b:g} {c - 4:g}V{c + 4:g}"/>'


def _grid(axis: Scale, bottom: float) -> str:
    out = []
    for t in axis.ticks():
        x, kind = axis(t), "zero" if t == 0 else "grid"
        out.append(f'<path class="{kind}" d="M{x:g} 2V{bottom + 3:g}"/>')
        out.append(f'<text class="tick" x="{x:g}" y="{bottom + 16:g}" text-anchor="middle">{short(t)}</text>')
    return "".join(out)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def svg(key: str, title: str, said: str, height: float, inside: str) -> str:
    """A chart of :data:`WIDTH` by ``height`` with a title, and in words (``said``) what it shows."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(said)}</desc>{inside}</svg>'
    )
