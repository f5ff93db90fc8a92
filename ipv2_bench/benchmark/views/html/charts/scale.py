"""From numbers to positions on a chart, round numbers along its axis, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis from ``low`` to ``high`` (numbers) that runs from ``start`` to ``end`` (pixels)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, number: float) -> float:
        """The pixel of a number, to a tenth."""
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, number))
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self, wanted: int = 5) -> list[float]:
        """About ``wanted`` round numbers between the ends."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            candidates = [float(f"{m}e{d}") for d in decades for m in (1, 2, 5)]
            return [t for t in candidates if self.low <= t <= self.high]
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Tick:
    """A round number along an axis: its pixel and its text."""

    at: float
    text: str
    is_zero: bool


def ticks_of(axis: Scale) -> tuple[Tick, ...]:
    """The ticks of an axis."""
    return tuple(Tick(axis(number), short(number), number == 0) for number in axis.ticks())


def scale(numbers: Sequence[float], start: float, end: float, zero: bool = True, log: bool = False) -> Scale:
    """An axis that holds all numbers and, with ``zero``, zero."""
    low, high = min(numbers), max(numbers)
    if log:
        return Scale(low / 1.5, high * 1.5, start, end, True)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    room = 0.04 * (high - low)
    if low == high:  # nothing but zeros, or one number
        return Scale(low - (not zero), high + 1.0, start, end)
    return Scale(low - room if low < 0 or not zero else low, high + room if high > 0 or not zero else high, start, end)


def short(number: float) -> str:
    """A number to three significant digits, never in powers of ten, with the sign − (U+2212) when it is negative."""
    return minus(f"{number:,.0f}" if abs(number) >= 1000 else f"{float(f'{number:.3g}'):g}")


def minus(text: str) -> str:
    """The text of a number with the sign − (U+2212) instead of a hyphen."""
    return text.replace("-", "−")
