"""The pixels of one section: where they are in the patient, and how shapes are painted on them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.body import LATTICE, Body
from ipv2_bench.data.thorax.outlines import ANGLES, outlines
from ipv2_bench.data.thorax.segments import Segments
from ipv2_bench.data.thorax.shapes import Array

AIR, FAT, MUSCLE, BLOOD, SKIN = -1000.0, -100.0, 52.0, 42.0, 30.0
CARTILAGE, CORTEX, MARROW, LIVER, SPLEEN, CORD = 120.0, 720.0, 190.0, 58.0, 48.0, 28.0

Box = tuple[slice, slice]
"""Rows and columns of a part of the picture."""


class Canvas:
    """A section while it is painted, from the outside in: a shape that is painted later covers earlier ones.

    Parameters
    ----------
    body
        The patient.
    z
        Height of the section in mm.
    size
        Rows and columns.
    pixel
        Side of a pixel in mm.

    Attributes
    ----------
    hu
        The picture, float64 [size, size], air at first.
    t
        ``z`` over the height of the lungs.
    axis
        Position of rows and columns on the scanner's axes in mm, [size].
    x, y, angle
        Coordinates of the pixels in the patient in mm, and their angle as in ``ANGLES``, [size, size].
    cage, flesh, skin
        Signed distances of the pixels to the outlines in mm, [size, size].
    """

    def __init__(self, body: Body, z: float, size: int, pixel: float) -> None:
        self.body, self.z, self.size, self.pixel = body, z, size, pixel
        self.t = z / body.height
        self.axis = (np.arange(size) + 0.5 - size / 2) * pixel
        across, down = self.axis[None, :] - body.shift[0], self.axis[:, None] - body.shift[1]
        cos, sin = np.cos(body.roll), np.sin(body.roll)
        self.x, self.y = across * cos + down * sin, down * cos - across * sin
        self.hu: Array = np.full((size, size), AIR)
        radius = np.hypot(self.x, self.y)
        angle = np.arctan2(self.x, -self.y)
        profiles = outlines(body, self.t)
        # Distances along the ray overstate those across a slanting wall by the cosine of the slant.
        slant = np.cos(np.arctan(np.gradient(profiles.cage, ANGLES) / profiles.cage))
        position = (angle + np.pi) * ((ANGLES.size - 1) / (2 * np.pi))
        index = np.minimum(position.astype(np.int32), ANGLES.size - 2)
        fraction = position - index
        self.angle = angle

        def at_pixels(profile: Array) -> Array:
            return profile[index] + fraction * np.diff(profile)[index]

        across_wall = at_pixels(slant)
        self.cage, self.flesh, self.skin = (
            (radius - at_pixels(profile)) * across_wall for profile in (profiles.cage, profiles.flesh, profiles.skin)
        )

    @cached_property
    def coarse(self) -> Array:
        """Smooth noise [size, size] of coarse grain, variance about 1."""
        return self._texture(9.0)

    @cached_property
    def fine(self) -> Array:
        """Smooth noise [size, size] of fine grain, variance about 1."""
        return self._texture(3.2)

    def _texture(self, step: float) -> Array:
        """Smooth noise [size, size], variance about 1: the patient's lattice at ``step`` mm."""

        def weights(position: NDArray[np.floating]) -> Array:
            # Quadratic B-splines: smooth, and three knots to a sample.
            base = np.rint(position).astype(int)
            rest = position - base
            matrix = np.zeros((position.size, LATTICE))
            rows = np.arange(position.size)
            parts = (0.5 * (0.5 - rest) ** 2, 0.75 - rest**2, 0.5 * (0.5 + rest) ** 2)
            for offset, part in zip((-1, 0, 1), parts, strict=True):
                matrix[rows, (base + offset) % LATTICE] = part
            return matrix

        depth = weights(np.array([self.z / step + 7.3]))[0]
        plane = np.tensordot(depth, self.body.texture, axes=1)
        knots = weights(self.axis / step)
        return (knots @ plane @ knots.T) * 2.45

    def cover(self, distance: Array) -> Array:
        """Share of each pixel inside a shape with the signed ``distance`` in mm."""
        share: Array = np.clip(0.5 - distance * (1 / self.pixel), 0, 1)
        return share

    def paint(self, cover: Array, value: float | Array, box: Box | None = None) -> None:
        """Paint ``value`` HU over the share ``cover`` of the pixels of ``box``, or of all."""
        target = self.hu if box is None else self.hu[box]
        target += cover * (value - target)

    def paint_bone(self, distance: Array, box: Box, cortex: float, marrow: float | Array) -> None:
        """Paint a bone: a dense shell ``cortex`` mm thick around softer marrow."""
        self.paint(self.cover(distance), CORTEX * self.body.bone, box)
        self.paint(self.cover(distance + cortex), marrow, box)

    def box(self, x: float, y: float, reach: float) -> Box:
        """The pixels within ``reach`` mm of a point of the patient."""
        column, row = self._column_and_row(np.array([x]), np.array([y]))
        half = reach / self.pixel + 1
        spans = ((max(0, int(c[0] - half)), max(0, int(c[0] + half) + 2)) for c in (row, column))
        rows, columns = (slice(*span) for span in spans)
        return rows, columns

    def _column_and_row(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Column and row (float) of points of the patient."""
        cos, sin = np.cos(self.body.roll), np.sin(self.body.roll)
        across, down = x * cos - y * sin + self.body.shift[0], y * cos + x * sin + self.body.shift[1]
        return across / self.pixel + (self.size - 1) / 2, down / self.pixel + (self.size - 1) / 2

    def rods(self, segments: Segments) -> Array:
        """Share of each pixel [size, size] inside any of the rods."""
        total = np.zeros(self.size * self.size)
        rods = segments.near(self.z, self.pixel)
        if not rods.radius_start.size:
            return total.reshape(self.size, self.size)
        reach = np.maximum(rods.radius_start, rods.radius_end) + self.pixel
        # Only the stretch of a rod that is near the plane can reach it: keeps the boxes of long rods small.
        rise = rods.end[:, 2] - rods.start[:, 2]
        rise = np.where(np.abs(rise) < 1e-6, 1e-6, rise)
        ends = (self.z + np.stack([-reach, reach]) - rods.start[:, 2]) / rise
        ends = np.clip(ends, 0, 1)[..., None]
        points = rods.start + ends * (rods.end - rods.start)
        column, row = self._column_and_row(points[..., 0], points[..., 1])
        margin = reach / self.pixel

        def span(position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            low = np.clip(np.floor(position.min(0) - margin), 0, self.size).astype(np.int64)
            high = np.clip(np.ceil(position.max(0) + margin) + 1, 0, self.size).astype(np.int64)
            return low, high - low

        (left, width), (top, tall) = span(column), span(row)
        count = width * tall
        # One entry for each pixel of each rod's box.
        rod = np.repeat(np.arange(count.size), count)
        step = np.arange(rod.size) - np.repeat(np.cumsum(count) - count, count)
        wide = width[rod]
        pixel = (top[rod] + step // wide) * self.size + left[rod] + step % wide
        distance, radius = rods.take(rod).distance(self.x.ravel()[pixel], self.y.ravel()[pixel], self.z)
        # A soft edge fattens a rod thinner than a pixel; scale it back to the area of its true cross section.
        half = self.pixel / 2
        soft = np.where(radius > half, radius**2 + half**2 / 3, (radius + half) ** 3 / (3 * self.pixel))
        share = np.clip(0.5 - distance / self.pixel, 0, 1) * np.minimum(1, radius**2 / soft)
        np.maximum.at(total, pixel, share)
        return total.reshape(self.size, self.size)
