"""Tapering round rods in space, the elements of vessels, airways and collar bones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.shapes import Array

Knots = tuple[tuple[float, float, float, float], ...]
"""Points of a tube: x mm, y mm, t, radius mm."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Tapering round rods in space: ends float64 [n, 3] and the radii there float64 [n], all in mm."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius_start: NDArray[np.float64]
    radius_end: NDArray[np.float64]

    def near(self, z: float, margin: float) -> Segments:
        """The rods that come within ``margin`` mm of the plane ``z``."""
        radius = np.maximum(self.radius_start, self.radius_end) + margin
        low = np.minimum(self.start[:, 2], self.end[:, 2]) - radius
        high = np.maximum(self.start[:, 2], self.end[:, 2]) + radius
        return self.take(np.flatnonzero((low < z) & (high > z)))

    def take(self, index: NDArray[np.intp]) -> Segments:
        """The rods of ``index``, in its order; an index may occur more than once."""
        return Segments(self.start[index], self.end[index], self.radius_start[index], self.radius_end[index])

    def widened(self, factor: float, extra: float) -> Segments:
        """The same rods with every radius times ``factor`` plus ``extra`` mm."""
        return replace(
            self, radius_start=self.radius_start * factor + extra, radius_end=self.radius_end * factor + extra
        )

    def distance(self, x: Array, y: Array, z: float) -> tuple[Array, Array]:
        """Signed distance of points of the plane ``z`` to a rod (one for all points, or one for each), and its radius there."""
        run = self.end - self.start
        px, py, pz = x - self.start[:, 0], y - self.start[:, 1], z - self.start[:, 2]
        square = (run * run).sum(1) + 1e-9
        along = np.clip((px * run[:, 0] + py * run[:, 1] + pz * run[:, 2]) / square, 0, 1)
        radius = self.radius_start + along * (self.radius_end - self.radius_start)
        gap = (px - along * run[:, 0]) ** 2 + (py - along * run[:, 1]) ** 2 + (pz - along * run[:, 2]) ** 2
        return np.sqrt(gap) - radius, radius

    @classmethod
    def join(cls, parts: list[Segments]) -> Segments:
        """All rods of ``parts`` in one."""
        fields = ("start", "end", "radius_start", "radius_end")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def tube(knots: Knots, scale: NDArray[np.float64], jitter: float, rng: np.random.Generator | None) -> Segments:
    """A smooth tube through ``knots`` times ``scale`` [4].

    With ``rng``, each knot is moved by about ``jitter`` mm in x and y, and all radii change by one random factor.
    """
    from scipy.interpolate import CubicSpline

    points = np.array(knots, float) * scale
    if rng is not None:
        points[:, :2] += rng.normal(0, jitter, (len(points), 2))
        points[:, 3] *= rng.uniform(0.92, 1.08)
    if len(points) > 2:
        parameter = np.arange(len(points))
        points = CubicSpline(parameter, points)(np.linspace(0, parameter[-1], 4 * parameter[-1] + 1))
    return Segments(points[:-1, :3], points[1:, :3], points[:-1, 3], points[1:, 3])
