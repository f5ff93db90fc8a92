"""Noise and bias of each region are those that were added."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.base import REGIONS
from ipv2_bench.metrics.measures.region_noise import RegionNoise
from tests.metrics.chest import WINDOW, chest, slice_truth, values


def measured(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return values(RegionNoise(), image, slice_truth(truth))


def test_equal_images_have_neither() -> None:
    truth = chest()[0].astype(np.float32)
    columns = measured(truth, truth)
    assert all(columns[f"{kind}_hu_{name}"] == 0 for kind in ("noise", "bias") for name in REGIONS)


def test_noise_and_bias_of_each_region_are_those_added() -> None:
    truth, pixels = chest()
    noise = {"background": 20.0, "lung": 90.0, "tissue": 45.0, "bone": 60.0}
    bias = {"background": 5.0, "lung": -30.0, "tissue": 15.0, "bone": -50.0}
    draw = np.random.default_rng(0).standard_normal(truth.shape)
    error = sum(np.where(pixels[name], bias[name] + noise[name] * draw, 0.0) for name in REGIONS)
    columns = measured(truth + error / WINDOW.width, truth)
    for name in REGIONS:
        assert columns[f"noise_hu_{name}"] == pytest.approx(noise[name], rel=0.15 if name == "bone" else 0.05)
        assert columns[f"bias_hu_{name}"] == pytest.approx(bias[name], abs=4 * noise[name] / pixels[name].sum() ** 0.5)


def test_a_region_that_is_absent_is_nan() -> None:
    truth = chest(lung=False)[0]
    columns = measured(truth + 0.01, truth)
    assert np.isnan(columns["noise_hu_lung"]) and np.isnan(columns["bias_hu_lung"])
    assert columns["bias_hu_tissue"] == pytest.approx(14.0)
    assert np.isfinite(columns["noise_hu_background"])
