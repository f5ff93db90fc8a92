"""Noise and bias of each region are those that were added."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics.base import REGIONS
from ipv2_bench.metrics.measures.region_noise import RegionNoise
from tests.metrics.chest import WINDOW, chest, disc, slice_truth, truth_of_hu, values, values_of_hu


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


def with_noise(truth: np.ndarray, sigma: float, bias: float, slices: int, seed: int) -> np.ndarray:
    """Slices [slices, N, N] in HU with white noise and a bias."""
    return truth + bias + sigma * np.random.default_rng(seed).standard_normal((slices, *truth.shape))


@pytest.mark.parametrize("sigma", [20.0, 100.0, 250.0])
@pytest.mark.parametrize("bias", [0.0, -30.0])
def test_the_uldcts_noise_and_bias_are_those_put_in_although_its_values_leave_the_window(
    sigma: float, bias: float, phantom: SliceSet
) -> None:
    assert phantom.truth is not None
    simple = WINDOW.hu(chest()[0])  # air at the window's lower end, bone near its upper end
    for number, (truth, slices) in enumerate(((simple, 100), (phantom.truth.hu(1), 200), (phantom.truth.hu(4), 200))):
        low = with_noise(truth, sigma, bias, slices, seed=number)
        of_slice = truth_of_hu(truth)
        columns = values_of_hu(RegionNoise(), low, [of_slice] * slices)
        for name in REGIONS:
            assert of_slice.anatomy.regions[name].sum() > 20, name
            assert columns[f"noise_hu_{name}"] == pytest.approx(sigma, rel=0.02), (number, name)
            assert columns[f"bias_hu_{name}"] == pytest.approx(bias, abs=0.02 * sigma), (number, name)


def test_clipping_would_hide_noise_and_make_bias_where_the_truth_is_at_the_windows_end() -> None:
    truth = WINDOW.hu(chest()[0])
    low = with_noise(truth, 100.0, 0.0, 1, seed=0)
    clipped = WINDOW.hu(WINDOW.unit(low))
    columns = values_of_hu(RegionNoise(), clipped, [truth_of_hu(truth)])
    # Half of a normal distribution: mean σ/√(2π), standard deviation σ √(1/2 − 1/(2π)).
    assert columns["noise_hu_background"] == pytest.approx(58.4, rel=0.03)
    assert columns["bias_hu_background"] == pytest.approx(39.9, rel=0.03)
    assert columns["noise_hu_tissue"] == pytest.approx(100.0, rel=0.03)


def test_bone_beyond_the_window_takes_no_part() -> None:
    truth = WINDOW.hu(chest()[0])
    dense = np.where(disc(45, 0, 6), 900.0, truth)
    output = WINDOW.hu(WINDOW.unit(dense))  # the best that a denoiser can give
    columns = values_of_hu(RegionNoise(), output[None], [truth_of_hu(dense)])
    assert columns["noise_hu_bone"] == columns["bias_hu_bone"] == 0.0


def test_a_region_that_is_absent_is_nan() -> None:
    truth = chest(lung=False)[0]
    columns = measured(truth + 0.01, truth)
    assert np.isnan(columns["noise_hu_lung"]) and np.isnan(columns["bias_hu_lung"])
    assert columns["bias_hu_tissue"] == pytest.approx(14.0)
    assert np.isfinite(columns["noise_hu_background"])
