"""Sharpness of the lung's border is that of the blur which was applied."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.measures.lung_edge import LungEdge, mtf50
from tests.metrics.chest import WINDOW, blurred, chest, slice_truth, values


def relative_mtf50(image: np.ndarray, truth: np.ndarray) -> float:
    return values(LungEdge(), image, slice_truth(truth))["edge_mtf50"]


@pytest.mark.parametrize(("sharp", "blur"), [(1.0, 1.0), (1.0, 2.0), (1.5, 2.0)])
def test_the_ratio_is_that_of_the_blurs(sharp: float, blur: float) -> None:
    truth, image = blurred(sharp), blurred(float(np.hypot(sharp, blur)))
    # A Gaussian's transfer falls to one half at a frequency in proportion to 1/σ.
    assert relative_mtf50(image, truth) == pytest.approx(sharp / np.hypot(sharp, blur), rel=0.1)
    assert relative_mtf50(truth, truth) == pytest.approx(1.0, abs=1e-12)


def test_noise_is_not_taken_for_sharpness() -> None:
    truth = blurred(1.0)
    noisy = truth + np.random.default_rng(0).normal(0, 100 / WINDOW.width, truth.shape)
    assert relative_mtf50(noisy, truth) == pytest.approx(1.0, abs=0.1)


def test_without_a_border_there_is_no_sharpness() -> None:
    truth = chest(lung=False)[0]
    assert np.isnan(relative_mtf50(truth, truth))


@pytest.mark.parametrize("sigma", [0.8, 1.6])
def test_mtf50_of_a_gaussian_edge_in_closed_form(sigma: float) -> None:
    from scipy.special import erf

    # Bins of a quarter of a pixel; the transfer of a Gaussian of σ is exp(−2π²σ²f²).
    distance = np.arange(-7, 7, 0.25) + 0.125
    count = np.full(len(distance), 5.0)
    profile = 300.0 * erf(distance / (sigma * 2**0.5))
    expected = np.sqrt(np.log(2) / 2) / (np.pi * sigma)
    assert mtf50(count * profile, count) == pytest.approx(expected, rel=0.01)
    count[3] = 0.0  # a bin that no slice has
    assert np.isnan(mtf50(count * profile, count))
