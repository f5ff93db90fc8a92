"""From numbers to places on a chart, and round numbers along its axis."""

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
            made = [float(f"{m}e{d}") for d in decades for m in (1, 2, 5)]
            return [t for t in made if self.low <= t <= self.high]
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


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
    """A number to three digits, never in powers of ten, with a minus that is one."""
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{float(f'{number:.3g}'):g}"
    return text.replace("-", "−")
