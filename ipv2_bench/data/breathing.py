"""Breathing between two scans, as a smooth deformation of an axial slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Breathing:
    """Size of the motion between the two scans.

    Attributes
    ----------
    random_mm
        Root mean square of each component of a smooth random displacement, in mm.
    smooth_mm
        Its correlation length (standard deviation of the Gaussian that makes it), in mm.
    expansion
        Standard deviation of the relative front-to-back and sideways expansion of the chest. It is zero at the
        table, since the back rests on it, and grows towards the front.
    """

    random_mm: float = 3.0
    smooth_mm: float = 35.0
    expansion: float = 0.02

    def displacement(self, size: int, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
        """Draw a field [2, size, size] in pixels (rows, columns): where each pixel of the new scan comes from."""
        # Drawn on a grid of fixed step in mm: the same motion whatever the resolution.
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
        # The back lies still on the table, and the table does not breathe.
        field *= np.interp(np.linspace(0.0, 1.0, size), [0.4, 0.8], [1.0, 0.0])[:, None]
        return field / pixel_mm


def deform(hu: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Sample ``hu`` [N, N] at the places that ``field`` [2, N, N] (pixels) points to; cubic, the border repeated."""
    size = hu.shape[0]
    at = np.arange(size, dtype=np.float64)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    moved = ndimage.map_coordinates(
        hu.astype(np.float32), [rows + field[0], columns + field[1]], order=3, mode="nearest"
    )
    # Cubic splines overshoot at edges: nothing may leave the range of the slice.
    return moved.clip(hu.min(), hu.max()).astype(np.float32)
