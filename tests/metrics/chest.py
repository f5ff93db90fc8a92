"""Simple chests as truth for tests of measures, and one measure over a few slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.anatomy import anatomy
from ipv2_bench.metrics.base import SliceTruth, TruthMeasure
from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.metrics.image_set import Measuring
from ipv2_bench.physics.intensity import Window

WINDOW = Window(-1000.0, 400.0)
SIZE = 160


def _coordinates(finer: int = 1, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns in pixels from the middle, at a grid that is ``finer`` times as fine."""
    at = (np.arange(finer * size) - (finer * size - 1) / 2) / finer
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
    """The chest without spine in [0, 1], blurred: edges without steps."""
    return WINDOW.unit(large_chest(sigma, size=SIZE, lung=22.0))


def large_chest(
    sigma: float,
    displaced: Callable[[int, np.ndarray], np.ndarray | float] = lambda side, angle: 0.0,
    moved: tuple[float, float] = (0.0, 0.0),
    size: int = 320,
    lung: float = 55.0,
) -> np.ndarray:
    """A chest without spine in HU, drawn four times finer, blurred by ``sigma`` pixels and averaged: edges without steps.

    Parameters
    ----------
    sigma
        Standard deviation of the blur in pixels.
    displaced
        What is added to a lung's radius, given its side (−1 or 1) and the direction from its middle in radians.
    moved
        Rows and columns by which both lungs are moved, in pixels.
    size, lung
        Pixels along a side, and radius of a lung in pixels.
    """
    y, x = _coordinates(4, size)
    air = np.zeros((4 * size, 4 * size), bool)
    for side in (-1, 1):
        row, column = y - moved[0], x - side * 0.1875 * size - moved[1]
        air |= np.hypot(row, column) < lung + displaced(side, np.arctan2(row, column))
    hu = np.where(x**2 + y**2 < (0.4375 * size) ** 2, np.where(air, -850.0, 0.0), -1000.0)
    return ndimage.gaussian_filter(hu, 4 * sigma).reshape(size, 4, size, 4).mean((1, 3))


def drawn() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Muscle with a layer of fat, a lung with a hole of emphysema, and a trachea, in HU; and the pixels of each."""
    body, muscle, lung = disc(0, 0, 70), disc(0, 0, 60), disc(0, 30, 22)
    hole, trachea = disc(0, 30, 6), disc(-10, -20, 6)
    hu = np.full(body.shape, -1000.0)
    for mask, value in ((body, -100.0), (muscle, 50.0), (lung, -860.0), (hole, -980.0), (trachea, -990.0)):
        hu[mask] = value
    return hu, {"fat": body & ~muscle, "muscle": muscle & ~lung & ~trachea, "airway": trachea}


PLACES = {100: (-30.0, -25.0), 300: (-30.0, 25.0), 900: (28.0, 0.0)}
"""Contrast of a disc in HU → row and column of its middle, from that of the slice."""

DISC = 16.0
"""Radius of each in pixels."""


def three_contrasts(sigma: dict[int, float]) -> np.ndarray:
    """A body with discs of three contrasts in HU, each blurred by its own number of pixels; drawn four times finer."""
    y, x = (np.arange(4 * SIZE) - (4 * SIZE - 1) / 2)[:, None] / 4, (np.arange(4 * SIZE) - (4 * SIZE - 1) / 2)[None] / 4
    hu = np.where(np.hypot(y, x) < 72, 0.0, -1000.0)
    for contrast, (row, column) in PLACES.items():
        disc = (np.hypot(y - row, x - column) < DISC).astype(np.float64)
        hu = hu - contrast * ndimage.gaussian_filter(disc, 4 * sigma[contrast])
    return hu.reshape(SIZE, 4, SIZE, 4).mean((1, 3))


def slice_truth(truth: np.ndarray, low: np.ndarray | None = None, share: np.ndarray | None = None) -> SliceTruth:
    """The truth of a slice in [0, 1]; the uLDCT is the truth itself where it does not matter."""
    return truth_of_hu(WINDOW.hu(truth), None if low is None else WINDOW.hu(low), share)


def truth_of_hu(hu: np.ndarray, low_hu: np.ndarray | None = None, share: np.ndarray | None = None) -> SliceTruth:
    """The truth of a slice in HU; the uLDCT is the truth itself where it does not matter."""
    return SliceTruth(hu, hu if low_hu is None else low_hu, anatomy(hu, WINDOW, 1.0, share), WINDOW, 1.0)


def values(measure: TruthMeasure, image: np.ndarray, truth: SliceTruth, pixel_mm: float = 1.0) -> dict[str, float]:
    """Columns of a measure for one slice, whose values may leave [0, 1]; NaN for those that it does not have."""
    return values_of_hu(measure, WINDOW.hu(image)[None], [truth], pixel_mm)


def values_of_hu(
    measure: TruthMeasure, images: np.ndarray, truths: Sequence[SliceTruth], pixel_mm: float = 1.0
) -> dict[str, float]:
    """Columns of a measure for slices in HU, not clipped, [n, N, N]; NaN for those that it does not have."""
    units = WINDOW.unit(images)
    measuring = Measuring(Catalogue({"measure": measure}), truths, units)
    columns = {column.name: float("nan") for column in measure.columns}
    return {**columns, **measuring.measure(units, pixel_mm, images).fidelity()}
