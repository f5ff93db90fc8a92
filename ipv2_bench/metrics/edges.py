"""Edges of a slice by their contrast, and the profile across them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.base import EDGE_CONTRASTS

WITHIN = (0.7, 1.4)
"""Smallest and largest step of a class, over its contrast."""

ACROSS = 3.0
"""Distance in pixels on either side at which the step is read."""

REACH, STEP = 7.0, 0.25
"""Length of a profile to either side, and distance of its samples, in pixels."""

SMOOTH = 1.0
"""Standard deviation in pixels of the Gaussian whose slopes find edges."""

MOST = 2000
"""Edge points of a class that are measured in a slice; of more, every second, third and so on."""


@dataclass(frozen=True)
class Edges:
    """Points on the edges of one contrast.

    Attributes
    ----------
    at
        Row and column of each, between pixels, [2, k].
    normal
        Unit vector towards the denser side, [2, k].
    profile
        Mean over the points of the truth across the edge in HU, [samples]; zeros without points.
    """

    at: np.ndarray
    normal: np.ndarray
    profile: np.ndarray


def offsets() -> np.ndarray:
    """Distances from an edge at which its profile is sampled, in pixels."""
    return np.arange(-REACH, REACH + STEP / 2, STEP)


def find_edges(hu: np.ndarray, where: np.ndarray) -> dict[int, Edges]:
    """Edges of each contrast of :data:`~ipv2_bench.metrics.base.EDGE_CONTRASTS` in a slice with little noise.

    A point lies where the slope of the smoothed slice is largest along its own direction; its step is the difference of the
    smoothed slice 3 pixels on either side.

    Parameters
    ----------
    hu
        [N, N] in HU.
    where
        Pixels in which edges are looked for, boolean [N, N].
    """
    smooth = ndimage.gaussian_filter(hu.astype(np.float64), SMOOTH)
    slope = np.stack(np.gradient(smooth))
    steep = np.hypot(*slope)
    points = np.argwhere(where & (steep > 0.1 * EDGE_CONTRASTS[0] * WITHIN[0])).T
    normal = slope[:, points[0], points[1]] / steep[points[0], points[1]]

    def along(image: np.ndarray, distance: float) -> np.ndarray:
        return ndimage.map_coordinates(image, points + distance * normal, order=1, mode="nearest")

    before, at, after = along(steep, -1.0), steep[points[0], points[1]], along(steep, 1.0)
    step = along(smooth, ACROSS) - along(smooth, -ACROSS)
    curvature = before - 2.0 * at + after
    offset = np.divide(0.5 * (before - after), curvature, out=np.zeros(len(at)), where=curvature < 0)
    ridge = (at >= before) & (at > after) & (np.abs(offset) <= 0.75)
    spline = ndimage.spline_filter(hu.astype(np.float64))
    edges = {}
    for contrast in EDGE_CONTRASTS:
        chosen = np.flatnonzero(ridge & (step >= WITHIN[0] * contrast) & (step <= WITHIN[1] * contrast))
        chosen = chosen[:: max(1, -(-len(chosen) // MOST))]
        place = points[:, chosen] + offset[chosen] * normal[:, chosen]
        edges[contrast] = Edges(place, normal[:, chosen], profile(spline, place, normal[:, chosen]))
    return edges


def profile(spline: np.ndarray, at: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Mean profile across edge points, [samples], of an image whose cubic spline coefficients [N, N] are given."""
    if not at.shape[1]:
        return np.zeros(len(offsets()))
    places = at[:, :, None] + normal[:, :, None] * offsets()
    return ndimage.map_coordinates(spline, places, prefilter=False, mode="nearest").mean(0)
