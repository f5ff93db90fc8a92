"""Selection of the slices that show lung."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.data.lung import lung_slices


def chest(side: int = 256, lungs: bool = True, radius: int = 100, noise: float = 40.0) -> np.ndarray:
    """Return HU float32 ``[side, side]``: soft disc on a table shell filled with foam, air outside."""
    y, x = np.mgrid[:side, :side] - side // 2
    hu = np.full((side, side), -1000.0)
    hu[x**2 + y**2 < radius**2] = 40
    for centre in (-45, 45) if lungs else ():
        hu[(x - centre) ** 2 / 35**2 + y**2 / 60**2 < 1] = -850
    top = side // 2 + 105
    hu[top : top + 15, 20:-20] = -900
    for row in (top, top + 14):
        hu[row, 20:-20] = 0
    return (hu + noise * np.random.default_rng(0).standard_normal(hu.shape)).astype(np.float32)


def test_lung_slices_sees_lungs_only_inside_the_body() -> None:
    tube = chest(lungs=False)
    y, x = np.mgrid[:256, :256] - 128
    tube[x**2 + y**2 < 8**2] = -1000
    hu = np.stack([chest(), chest(lungs=False), tube, np.full_like(tube, -1000), chest(noise=0)])
    seen = lung_slices(hu, 1.5)
    assert seen.dtype == bool
    assert seen.tolist() == [True, False, False, False, True]
    assert lung_slices(hu.astype(np.int16), 1.5).tolist() == seen.tolist()
    assert not lung_slices(hu, 1.5, min_fraction=0.9).any()


@pytest.mark.parametrize("shape", [(0, 64, 64), (2, 17, 33)])
def test_lung_slices_takes_any_size(shape: tuple[int, ...]) -> None:
    assert lung_slices(np.zeros(shape, np.int16), 0.7).tolist() == [False] * shape[0]


def test_lung_slices_refuses_a_single_image() -> None:
    with pytest.raises(ValueError, match=r"\[n, H, W\]"):
        lung_slices(np.zeros((16, 16)), 1.0)
    with pytest.raises(ValueError, match="spacing_mm > 0"):
        lung_slices(np.zeros((1, 16, 16)), 0.0)
