"""Lung nodules of known size, density and place, put into the anatomy of a slice before it is scanned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.anatomy import regions
from ipv2_bench.physics.intensity import Window

SIZES_MM = (4.0, 6.0, 8.0, 10.0)
"""Diameters."""

KINDS = {"solid": (-50.0, 50.0), "ground_glass": (-650.0, -450.0)}
"""Kinds of nodules, and the HU that theirs are drawn from."""

EDGE_MM = 1.0
"""Width of the edge, over which a nodule fades into the lung."""

BARE_BELOW_HU = -700.0
"""HU of lung without vessels, smoothed by a pixel."""

CLEARANCE_MM = 3.0
"""Bare lung around a nodule that lies inside of the lung."""

APART_MM = 24.0
"""Smallest distance between the middles of two nodules of a slice."""


@dataclass(frozen=True)
class Signal:
    """A nodule.

    Attributes
    ----------
    row, column
        Pixel of its middle.
    diameter_mm
        Where it has faded to one half.
    hu
        In its middle.
    at_border
        Whether it touches the border of the lung.
    """

    row: int
    column: int
    diameter_mm: float
    hu: float
    at_border: bool


def put_in(hu: np.ndarray, pixel_mm: float, signals: Sequence[Signal]) -> np.ndarray:
    """A slice [N, N] in HU with nodules in the place of what was there, float64."""
    result = hu.astype(np.float64)
    rows, columns = np.indices(hu.shape)
    for signal in signals:
        distance = np.hypot(rows - signal.row, columns - signal.column) * pixel_mm
        share = np.clip((signal.diameter_mm / 2 - distance) / EDGE_MM + 0.5, 0.0, 1.0)
        result += share * (signal.hu - result)
    return result


def draw_signals(
    hu: np.ndarray, window: Window, pixel_mm: float, kind: str, rng: np.random.Generator, sizes_mm: Sequence[float] = SIZES_MM
) -> list[Signal]:
    """One nodule of each size inside of the lung, away from vessels, and one at its border, as far as there is room for them.

    Parameters
    ----------
    hu
        Slice without noise, or with little, [N, N].
    window, pixel_mm
        HU that map to 0 and 1, and side of a pixel in mm.
    kind
        A key of :data:`KINDS`.
    rng
        Draws place and density.
    sizes_mm
        Diameters.
    """
    lung = regions(window.unit(hu), window)["lung"]
    bare = lung & (ndimage.gaussian_filter(hu.astype(np.float64), 1.0) < BARE_BELOW_HU)
    to_vessel = ndimage.distance_transform_edt(bare) * pixel_mm
    to_border = ndimage.distance_transform_edt(ndimage.binary_fill_holes(lung)) * pixel_mm
    signals: list[Signal] = []
    free = _away_from_edges(hu.shape, APART_MM / 2 / pixel_mm)
    # The largest first, which have the least room.
    for diameter in sorted(sizes_mm, reverse=True):
        for at_border in (False, True):
            radius = diameter / 2
            touches = (to_border > 0) & (np.abs(to_border - radius) <= max(EDGE_MM, pixel_mm / 2))
            places = np.flatnonzero((touches if at_border else to_vessel >= radius + CLEARANCE_MM) & free)
            density = float(rng.uniform(*KINDS[kind]))  # drawn either way, so that places do not hang on each other's room
            chosen = int(rng.integers(max(1, len(places))))
            if not len(places):
                continue
            row, column = np.unravel_index(places[chosen], hu.shape)
            signals.append(Signal(int(row), int(column), diameter, density, at_border))
            rows, columns = np.indices(hu.shape)
            free &= np.hypot(rows - row, columns - column) * pixel_mm >= APART_MM
    return signals


def region(image: np.ndarray, signal: Signal, side: int) -> np.ndarray:
    """The [side, side] pixels of an image around a nodule; ``side`` is odd, and beyond the image its edge is repeated."""
    half = side // 2
    rows = np.clip(np.arange(signal.row - half, signal.row + half + 1), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(signal.column - half, signal.column + half + 1), 0, image.shape[1] - 1)
    return image[np.ix_(rows, columns)]


def _away_from_edges(shape: tuple[int, ...], pixels: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    near = np.minimum(np.minimum(rows, shape[0] - 1 - rows), np.minimum(columns, shape[1] - 1 - columns))
    return near >= pixels
