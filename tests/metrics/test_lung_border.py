"""The border of the lung: pixels near it with their distances, normals and pieces."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.anatomy import anatomy
from ipv2_bench.metrics.lung_border import LARGEST_SHIFT, PIECE, REACH
from tests.metrics.chest import WINDOW, chest, disc, large_chest


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0])
def test_distances_are_exact_to_a_fraction_of_a_pixel(sigma: float) -> None:
    # The lungs are circles of 55 pixels; the contour at −400 HU is 0.08 σ outside of the middle of the edge.
    border = anatomy(large_chest(sigma), WINDOW).lung_border
    row, column = np.unravel_index(border.pixels, (320, 320))
    y, x = row - 159.5, np.abs(column - 159.5) - 60.0
    expected = np.hypot(y, x) - 55.0
    error = border.distance - expected
    assert np.abs(error - np.median(error)).max() < 0.1 and abs(np.median(error)) < 0.1 + 0.1 * sigma
    near = np.abs(expected) < REACH + LARGEST_SHIFT - 0.5
    assert near.sum() > 0.9 * 2 * 2 * np.pi * 55 * 2 * (REACH + LARGEST_SHIFT - 0.5)
    # Normals point from the lung into the tissue.
    outwards = np.stack([y, x * np.sign(column - 159.5)]) / np.hypot(y, x)
    assert (border.normal * outwards).sum(0).min() > 0.97


def test_pieces_are_equally_long_and_each_of_one_lung() -> None:
    border = anatomy(large_chest(1.0), WINDOW).lung_border
    row, column = np.unravel_index(border.pixels, (320, 320))
    number = 2 * round(2 * np.pi * 55 / PIECE)
    assert set(border.piece) == set(range(number))
    near = np.abs(border.distance) < 1.0
    sizes = np.bincount(border.piece[near])
    assert sizes.min() > 0.7 * sizes.mean() and sizes.max() < 1.3 * sizes.mean()
    for piece in range(number):
        own = (border.piece == piece) & near
        assert np.ptp(column[own]) < 2 * PIECE and np.ptp(row[own]) < 2 * PIECE


def test_the_border_of_an_airway_is_none_of_the_lung() -> None:
    truth = np.where(chest(lung=False)[0] > 0, 0.0, -1000.0)
    truth[disc(0, 0, 5)] = -850.0  # 31 pixels around
    border = anatomy(truth, WINDOW).lung_border
    assert border.pixels.size == border.distance.size == border.normal.size == border.piece.size == 0


def test_pixels_outside_of_the_window_are_left_out() -> None:
    hu = large_chest(1.0)
    hu[100:200, 159:162] = 700.0  # bone beside both lungs
    border = anatomy(hu, WINDOW).lung_border
    assert border.pixels.size and (hu.ravel()[border.pixels] <= 400.0).all()
