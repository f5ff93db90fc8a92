"""Noise of a slice in what is soft tissue, without a second slice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.noise_level import tissue_grain, tissue_noise

WINDOW = Window()


def chest(size: int = 128) -> np.ndarray:
    """Air, a body of soft tissue, and two lungs in it; [N, N] in HU."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    hu = np.full((size, size), -1000.0)
    hu[(rows / 0.35) ** 2 + (columns / 0.45) ** 2 < 1] = 40.0
    for side in (-0.2, 0.2):
        hu[(rows / 0.22) ** 2 + ((columns - side) / 0.13) ** 2 < 1] = -850.0
    return hu


@pytest.mark.parametrize("sigma", [20.0, 60.0, 150.0])
def test_it_is_the_noise_that_was_added(sigma: float) -> None:
    noise = sigma * np.random.default_rng(0).normal(size=(128, 128))
    found = tissue_noise(WINDOW.unit(chest() + noise))
    assert found is not None
    assert WINDOW.width * found == pytest.approx(sigma, rel=0.1)  # a tenth less at most: it is of fine texture, and clipped


def test_noise_elsewhere_does_not_count() -> None:
    hu = chest()
    noise = np.random.default_rng(1).normal(size=hu.shape)
    tissue = ndimage.binary_erosion(hu == 40, iterations=8)
    found = tissue_noise(WINDOW.unit(hu + np.where(tissue, 30.0, 5.0) * noise))
    assert found is not None and 5 < WINDOW.width * found < 31
    smooth = tissue_noise(WINDOW.unit(hu))
    assert smooth is not None and WINDOW.width * smooth < 1.0


@pytest.mark.parametrize("value", [-1000.0, -850.0, 2000.0])
def test_slices_without_tissue_have_none(value: float) -> None:
    assert tissue_noise(WINDOW.unit(np.full((64, 64), value))) is None


def test_grain_is_that_of_the_kernel_and_not_of_the_dose() -> None:
    white = np.random.default_rng(2).normal(size=(128, 128))
    found = []
    for sigma in (15.0, 60.0):
        for soft in (0.0, 0.6, 1.2):
            noise = ndimage.gaussian_filter(white, soft) if soft else white
            share = tissue_grain(WINDOW.unit(chest() + sigma * noise / noise.std()))
            assert share is not None
            found.append(share)
    assert found[:3] == pytest.approx(found[3:], rel=0.15)
    assert 0.9 < found[0] < 1.1 and 0.3 < found[1] < 0.6 and found[2] < 0.15
    assert tissue_grain(WINDOW.unit(np.full((64, 64), -850.0))) is None
