"""Simple chests as truth for tests of measures, and one measure over a few slices."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.anatomy import anatomy
from ipv2_bench.metrics.base import SliceTruth, TruthMeasure
from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.metrics.image_set import Measuring
from ipv2_bench.physics.intensity import Window

WINDOW = Window(-1000.0, 400.0)
SIZE = 160


def _coordinates(finer: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns in pixels from the middle, at a grid that is ``finer`` times as fine."""
    at = (np.arange(finer * SIZE) - (finer * SIZE - 1) / 2) / finer
    return at[:, None], at[None]


def radius() -> np.ndarray:
    """Distance of every pixel from the middle."""
    return np.hypot(*_coordinates())


def disc(row: float, column: float, size: float) -> np.ndarray:
    """Pixels inside of a circle, boolean."""
    y, x = _coordinates()
    return (y - row) ** 2 + (x - column) ** 2 < size**2


def chest(lung: bool = True) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A disc of water with two round lungs and a spine, and the pixels of each region."""
    body = disc(0, 0, 70)
    air = (disc(0, -30, 22) | disc(0, 30, 22)) & lung
    bone = disc(45, 0, 11)
    hu = np.where(body, np.where(air, -850.0, np.where(bone, 350.0, 0.0)), -1000.0)
    return WINDOW.unit(hu), {"background": ~body, "lung": air, "tissue": body & ~air & ~bone, "bone": bone}


def blurred(sigma: float) -> np.ndarray:
    """The chest without spine, drawn four times finer, blurred by ``sigma`` pixels and averaged: edges without steps."""
    y, x = _coordinates(4)
    air = (np.abs(x) - 30) ** 2 + y**2 < 22**2
    hu = np.where(x**2 + y**2 < 70**2, np.where(air, -850.0, 0.0), -1000.0)
    fine = ndimage.gaussian_filter(hu, 4 * sigma)
    return WINDOW.unit(fine.reshape(SIZE, 4, SIZE, 4).mean((1, 3)))


def slice_truth(truth: np.ndarray, low: np.ndarray | None = None, share: np.ndarray | None = None) -> SliceTruth:
    """The truth of a slice; the uLDCT is the truth itself where it does not matter."""
    return SliceTruth(truth, truth if low is None else low, anatomy(truth, WINDOW, 1.0, share), WINDOW, 1.0)


def values(measure: TruthMeasure, image: np.ndarray, truth: SliceTruth, pixel_mm: float = 1.0) -> dict[str, float]:
    """Columns of a measure for one slice; NaN for those that it does not have."""
    measuring = Measuring(Catalogue({"measure": measure}), [truth], truth.image[None])
    columns = {column.name: float("nan") for column in measure.columns}
    return {**columns, **measuring.measure(image[None], pixel_mm).fidelity()}
