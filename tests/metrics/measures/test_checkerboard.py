"""The peak at the Nyquist frequency: of checkerboards, of noise, and of anatomy that has one itself."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.measures.checkerboard import Checkerboard, nyquist_power
from tests.metrics.chest import large_chest, truth_of_hu, values_of_hu

TRUTH = large_chest(1.0, size=128, lung=22.0)
ROWS, COLUMNS = np.indices(TRUTH.shape)


def peak(image: np.ndarray, truth: np.ndarray = TRUTH) -> float:
    return values_of_hu(Checkerboard(), image[None], [truth_of_hu(truth)])["nyquist_peak"]


@pytest.mark.parametrize("pattern", [ROWS % 2, COLUMNS % 2, (ROWS + COLUMNS) % 2])
def test_alternating_pixels_are_found_in_every_direction(pattern: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0.0, 5.0, TRUTH.shape)
    assert peak(TRUTH + noise) < 2.0
    assert peak(TRUTH + noise + 4.0 * pattern) > 20.0


def test_what_the_truth_has_does_not_count() -> None:
    striped = TRUTH + 3.0 * (ROWS % 2) + np.random.default_rng(1).normal(0.0, 2.0, TRUTH.shape)
    assert peak(striped, TRUTH) > 20.0
    assert peak(striped, striped) == pytest.approx(1.0, abs=0.6)


def test_small_images_have_no_neighbourhood() -> None:
    assert np.isnan(nyquist_power(np.ones((31, 31)))[0]).all()
    assert np.isfinite(nyquist_power(np.random.default_rng(0).normal(size=(33, 33)))[1]).all()
