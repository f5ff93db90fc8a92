"""Signed distances to the structures between and below the lungs, which bound the lungs on the inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipv2_bench.data.thorax.body import Body
from ipv2_bench.data.thorax.outlines import spine_y
from ipv2_bench.data.thorax.shapes import Array, ellipse, smooth_max

# Vessels that press their outline into the lungs; the others run inside the mediastinum.
_BORDER = ("aorta", "cava", "left_pulmonary", "right_pulmonary", "subclavian", "brachiocephalic",
           "innominate")  # fmt: skip
# Ellipsoids (x, y, t, half axes x y z in mm, angle in degrees) of the heart's chambers.
_HEART = (
    (36.0, -20.0, 0.72, 44.0, 31.0, 48.0, 38.0),
    (6.0, -38.0, 0.68, 42.0, 25.0, 46.0, 20.0),
    (-17.0, -14.0, 0.66, 25.0, 27.0, 38.0, 0.0),
    (5.0, 8.0, 0.575, 33.0, 18.0, 26.0, 0.0),
)


@dataclass(frozen=True, eq=False)
class Mediastinum:
    """Signed distances in mm to the heart, to both diaphragm domes, and to everything that is not lung.

    ``all`` is the smooth union of these, the spine, the great vessels and the fold between the lungs.
    """

    heart: Array
    right_dome: Array
    left_dome: Array
    all: Array


def mediastinum(body: Body, x: Array, y: Array, z: float, cage: Array) -> Mediastinum:
    """Distances at height ``z`` for pixels at ``x`` and ``y``; ``cage`` is the distance to the inner chest wall."""
    t = z / body.height
    wide, deep = body.half_width / 125, body.back / 82
    heart = np.full(x.shape, 60.0)
    for cx, cy, ct, a, b, c, angle in _HEART:
        shrink = 1 - ((t - ct) * body.height / (c * body.heart)) ** 2
        if shrink > 0:
            size = float(np.sqrt(shrink)) * body.heart
            heart = np.minimum(heart, ellipse(x, y, cx * wide, cy * deep, a * size, b * size, angle))
    right = _dome(x, y, (-54 * wide, -12 * deep, body.domes[0] * body.height), (108.0, 104.0, 100.0), z)
    left = _dome(x, y, (66 * wide, -6 * deep, body.domes[1] * body.height), (88.0, 96.0, 90.0), z)
    # The lungs reach down between diaphragm and chest wall.
    right, left = (smooth_max(dome, cage + 8, 16.0) for dome in (right, left))
    spine = spine_y(body, t)
    # Broad at the level of the great vessels and at the apex, a thin fold where the lungs meet in front.
    core = (22 + 14 * np.exp(-((t / 0.15) ** 2))) * np.exp(-(((y - 2) / 36) ** 2))
    fold = 5 + 22 * np.exp(-((t / 0.16) ** 2)) + 18 * np.exp(-(((t - 1.0) / 0.13) ** 2))
    total = np.abs(x) - np.maximum(core, fold)
    pieces = [ellipse(x, y, 0, spine, 21, 21), ellipse(x, y, 0, spine + 27, 36, 17), heart - 5]
    for name in _BORDER:
        vessel = body.tubes[name].near(z, 12.0)
        for k in range(vessel.radius_start.size):
            distance, _ = vessel.take(np.array([k])).distance(x, y, z)
            pieces.append(distance - 2.5)
    for piece in pieces:
        total = -smooth_max(-total, -piece, 6.0)
    total = np.minimum(total, np.minimum(right, left))
    return Mediastinum(heart, right, left, total)


def _dome(x: Array, y: Array, top: tuple[float, float, float], half: tuple[float, float, float], z: float) -> Array:
    """Signed distance to the cut at ``z`` of an ellipsoid with its highest point ``top`` and half axes ``half``."""
    share = 1 - ((top[2] + half[2] - z) / half[2]) ** 2
    if share <= 0:
        return np.full(x.shape, 60.0)
    size = float(np.sqrt(share))
    return ellipse(x, y, top[0], top[1], half[0] * size, half[1] * size)


def fissures(body: Body, x: Array, y: Array, t: float) -> Array:
    """Signed distance to the oblique fissures, which descend from the upper back to the lower front."""
    tilt = np.where(x < 0, 0.24, 0.18)
    bow = 0.0035 * (np.abs(x) - 70) ** 2
    height = body.back * (1.0 - 2.1 * (t - 0.16))
    distance: Array = (y - height - bow + tilt * (np.abs(x) - 30)) * 0.93
    return distance
