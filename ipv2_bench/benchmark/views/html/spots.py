"""Where arrows point and what is magnified: the noisiest place of the lung, and of the air around the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.anatomy import LEAST_PIXELS, regions
from ipv2_bench.physics.intensity import Window

SHOWN = ("lung", "background")


@dataclass(frozen=True)
class Spot:
    """A place in a slice: the arrow's tip (row, column), and the upper left corner and side of the part to magnify."""

    name: str
    row: int
    column: int
    top: int
    left: int
    side: int


def spots(low: np.ndarray, clean: np.ndarray, window: Window) -> list[Spot]:
    """Places that show what a strategy does; a region that the slice lacks has none.

    Parameters
    ----------
    low
        uLDCT, [N, N] in [0, 1].
    clean
        The aligned truth, or the NDCT where it is not known; [N, N] in [0, 1].
    window
        HU of both.
    """
    n = low.shape[0]
    side = max(n // 4, 8)
    rough = ndimage.gaussian_filter((low - ndimage.gaussian_filter(low, 2.0)) ** 2, n / 128)
    found, where = [], regions(clean, window)
    for name in SHOWN:
        region = where[name]
        if region.sum() < LEAST_PIXELS:
            continue
        # Of the squares that hold much of the region, the one with the most noise in it.
        share = ndimage.uniform_filter(region.astype(float), side, mode="constant")
        energy = ndimage.uniform_filter(np.where(region, rough, 0.0), side, mode="constant")
        half = side // 2
        inside = np.zeros_like(region)
        inside[half : n - half, half : n - half] = True
        i, j = _argmax(np.where(inside & (share >= 0.8 * share[inside].max()), energy, -1.0))
        top, left = min(max(i - half, 0), n - side), min(max(j - half, 0), n - side)
        near = np.zeros_like(region)
        edge = side // 5
        near[top + edge : top + side - edge, left + edge : left + side - edge] = True
        row, column = _argmax(np.where(near & region, rough, -1.0))
        found.append(Spot(name, row, column, top, left, side))
    return found


def _argmax(values: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(row), int(column)
