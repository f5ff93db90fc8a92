"""Where arrows point and what is magnified: the noisiest spot of the lung, and of the air around the body."""

from __future__ import annotations

from typing import get_args

import numpy as np

from ipv2_bench.benchmark.views.html.picture_file import Region, Spot
from ipv2_bench.physics.intensity import Window


def find_spots(low: np.ndarray, clean: np.ndarray, window: Window) -> tuple[Spot, ...]:
    """Spots that show what a strategy does; a region that the slice lacks has none.

    Parameters
    ----------
    low
        uLDCT, [N, N] in [0, 1].
    clean
        The aligned truth, or the NDCT where it is not known; [N, N] in [0, 1].
    window
        HU of both.
    """
    from scipy import ndimage

    from ipv2_bench.metrics.anatomy import LEAST_PIXELS, regions

    n = low.shape[0]
    side = max(n // 4, 8)
    noise = ndimage.gaussian_filter((low - ndimage.gaussian_filter(low, 2.0)) ** 2, n / 128)
    masks, spots = regions(clean, window), []
    for name in get_args(Region):
        region = masks[name]
        if region.sum() < LEAST_PIXELS:
            continue
        # Of the squares that hold much of the region, the one with the most noise in it.
        share = ndimage.uniform_filter(region.astype(float), side, mode="constant")
        energy = ndimage.uniform_filter(np.where(region, noise, 0.0), side, mode="constant")
        half = side // 2
        inside = np.zeros_like(region)
        inside[half : n - half, half : n - half] = True
        i, j = _argmax(np.where(inside & (share >= 0.8 * share[inside].max()), energy, -1.0))
        top, left = min(max(i - half, 0), n - side), min(max(j - half, 0), n - side)
        near = np.zeros_like(region)
        edge = side // 5
        near[top + edge : top + side - edge, left + edge : left + side - edge] = True
        row, column = _argmax(np.where(near & region, noise, -1.0))
        spots.append(Spot(region=name, row=row, column=column, top=top, left=left, side=side))
    return tuple(spots)


def _argmax(values: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(row), int(column)
