"""Signed distances in the plane, in mm and negative inside: ellipse, bar, and the rounded maximum of two shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ellipse(x: Array, y: Array, cx: float, cy: float, a: float, b: float, degrees: float = 0.0) -> Array:
    """Signed distance (to first order at the edge) to an ellipse with centre (cx, cy), half axes a and b, turned by an angle."""
    a, b = max(a, 0.05), max(b, 0.05)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    dx, dy = x - cx, y - cy
    u = (dx * cos + dy * sin) * (1 / a)
    v = (dy * cos - dx * sin) * (1 / b)
    norm = np.sqrt(u * u + v * v)
    gradient = np.sqrt((u * (1 / a)) ** 2 + (v * (1 / b)) ** 2) + 1e-6
    distance: Array = norm * (norm - 1) / gradient
    return distance


def bar(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], radius: float) -> Array:
    """Signed distance to a bar with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    px, py = x - start[0], y - start[1]
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    distance: Array = np.hypot(px - along * dx, py - along * dy) - radius
    return distance


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """The larger of two distances, rounded over ``width`` mm where they cross: the intersection of two shapes."""
    blend = np.maximum(width - np.abs(a - b), 0)
    rounded: Array = np.maximum(a, b) + blend * blend * (0.25 / width)
    return rounded
