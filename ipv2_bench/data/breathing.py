"""Breathing motion between two scans, as a smooth deformation of an axial slice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Breathing:
    """Size of the motion between the two scans.

    Attributes
    ----------
    random_mm
        Root mean square of each component of a smooth random displacement, in mm.
    smooth_mm
        Its correlation length (standard deviation of the Gaussian that smooths white noise), in mm.
    expansion
        Standard deviation of the relative front-to-back and sideways expansion of the chest. It is zero at the
        table, since the back rests on it, and grows towards the front.
    """

    random_mm: float = 3.0
    smooth_mm: float = 35.0
    expansion: float = 0.02

    def scaled(self, factor: float) -> Breathing:
        """The same with a motion of another size; 0 for none.

        Raises
        ------
        ValueError
            For a factor that is negative or no number.
        """
        if not 0 <= factor < math.inf:
            raise ValueError(f"breathing is {factor}: expected 0 or more, as a multiple of the default motion")
        return replace(self, random_mm=factor * self.random_mm, expansion=factor * self.expansion)

    def displacement(self, size: int, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
        """A random field [2, size, size] in pixels (rows, columns): from each pixel of the new scan to its source."""
        from scipy import ndimage

        # Drawn on a grid of fixed step in mm, so that the motion is the same at any resolution.
        step = self.smooth_mm / 4.0
        coarse = int(np.ceil(size * pixel_mm / step)) + 1
        noise = ndimage.gaussian_filter(rng.standard_normal((2, coarse, coarse)), (0, 4.0, 4.0), mode="wrap")
        noise *= self.random_mm / noise.std(axis=(1, 2), keepdims=True)
        at = np.arange(size) * (pixel_mm / step)
        rows, columns = np.meshgrid(at, at, indexing="ij")
        field = np.stack([ndimage.map_coordinates(n, [rows, columns], order=3, mode="nearest") for n in noise])
        fade = np.linspace(1.0, 0.0, size)[:, None]
        ap, lateral = rng.normal(0.0, self.expansion, 2)
        half = size * pixel_mm / 2.0
        field[0] += ap * 2.0 * half * fade
        field[1] += lateral * np.linspace(-half, half, size)[None, :] * fade
        # The back rests on the table, and neither it nor the table moves.
        field *= np.interp(np.linspace(0.0, 1.0, size), [0.4, 0.8], [1.0, 0.0])[:, None]
        return field / pixel_mm


def deform(hu: np.ndarray, field: np.ndarray) -> np.ndarray:
    """``hu`` [N, N] sampled at the positions that ``field`` [2, N, N] (pixels) points to; cubic, the border repeated."""
    from scipy import ndimage

    size = hu.shape[0]
    at = np.arange(size, dtype=np.float64)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    moved = ndimage.map_coordinates(
        hu.astype(np.float64), [rows + field[0], columns + field[1]], order=3, mode="nearest"
    )
    # Cubic splines overshoot at edges: values are clipped to the range of the slice.
    return moved.clip(hu.min(), hu.max())
