"""What all charts have: a frame with its texts, labels at positions, and the number of colours."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 340.0
"""Width of a chart, in units of the drawing."""

TONES = 6
"""Number of colours that style.css has for lines."""


@dataclass(frozen=True)
class Chart:
    """The frame of a chart.

    Attributes
    ----------
    key
        A unique part of element ids.
    title, caption, description
        Its title, the text above it, and every number that it shows in words.
    width, height
        Of the drawing.
    """

    key: str
    title: str
    caption: str
    description: str
    width: float
    height: float


@dataclass(frozen=True)
class Label:
    """Text at a position."""

    text: str
    x: float
    y: float
    anchor: str = "start"
