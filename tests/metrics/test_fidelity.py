"""Fidelity to the truth, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics.fidelity import REGIONS, fidelity, regions, rim
from ipv2_bench.physics.intensity import Window

WINDOW = Window(-1000.0, 400.0)


def chest(lung: bool = True) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A disc of water with two round lungs, and where each region is."""
    at = np.arange(160) - 79.5
    y, x = at[:, None], at[None]
    body = x**2 + y**2 < 70**2
    air = ((np.abs(x) - 30) ** 2 + y**2 < 22**2) & lung
    hu = np.where(body, np.where(air, -850.0, 0.0), -1000.0)
    return WINDOW.unit(hu), {"background": ~body, "lung": air, "tissue": body & ~air}


def test_psnr_and_rmse_by_hand() -> None:
    truth = chest()[0]
    image = truth.copy()
    image[:80] += 0.1  # half of the pixels, 140 HU
    found = fidelity(image, truth, WINDOW)
    assert found["rmse_hu"] == pytest.approx(140 / 2**0.5)
    assert found["psnr_db"] == pytest.approx(10 * np.log10(1 / 0.005))
    assert found["ssim"] < 1


def test_equal_images() -> None:
    truth = chest()[0].astype(np.float32)
    found = fidelity(truth, truth, WINDOW)
    assert found["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert found["rmse_hu"] == 0 and found["psnr_db"] > 150
    assert all(found[f"{kind}_hu_{name}"] == 0 for kind in ("noise", "bias") for name in REGIONS)


def test_noise_and_bias_of_each_region_are_those_put_in() -> None:
    truth, where = chest()
    noise, bias = {"background": 20.0, "lung": 90.0, "tissue": 45.0}, {"background": 5.0, "lung": -30.0, "tissue": 15.0}
    draw = np.random.default_rng(0).standard_normal(truth.shape)
    error = sum(np.where(where[name], bias[name] + noise[name] * draw, 0.0) for name in REGIONS)
    found = fidelity(truth + error / WINDOW.width, truth, WINDOW)
    for name in REGIONS:
        assert found[f"noise_hu_{name}"] == pytest.approx(noise[name], rel=0.05)
        assert found[f"bias_hu_{name}"] == pytest.approx(bias[name], abs=4 * noise[name] / where[name].sum() ** 0.5)


def test_regions_keep_a_rim_of_two_pixels_from_every_edge() -> None:
    truth, where = chest()
    found = regions(truth, WINDOW)
    for name in REGIONS:
        inside = found[name]
        assert not (ndimage.binary_dilation(inside, iterations=2) & ~where[name]).any()
        assert inside.sum() > 0.75 * where[name].sum()
    assert found["background"][0].all()  # the border of the image is no edge


def test_a_region_that_is_absent_is_nan() -> None:
    truth = chest(lung=False)[0]
    found = fidelity(truth + 0.01, truth, WINDOW)
    assert np.isnan(found["noise_hu_lung"]) and np.isnan(found["bias_hu_lung"])
    assert found["bias_hu_tissue"] == pytest.approx(14.0)
    assert np.isfinite(found["noise_hu_background"])


def test_regions_of_the_phantom_are_there(phantom: SliceSet) -> None:
    for truth in phantom.truth:
        shares = {name: region.mean() for name, region in regions(np.array(truth), WINDOW).items()}
        assert shares["background"] > 0.2 and shares["tissue"] > 0.1 and shares["lung"] > 0.02, shares
        hu = WINDOW.hu(np.array(truth))
        assert np.median(hu[regions(np.array(truth), WINDOW)["lung"]]) < -700


def test_the_rim_lies_on_both_sides_of_the_outline() -> None:
    truth, _ = chest()
    found = rim(truth)
    at = np.arange(160) - 79.5
    radius = np.hypot(at[:, None], at[None])
    assert found[(radius > 67.5) & (radius < 72.5)].all()
    assert not found[(radius < 64) | (radius > 76)].any()


def test_errors_at_the_rim_are_told() -> None:
    truth, _ = chest()
    border = rim(truth)
    measured = fidelity(np.where(border, truth + 0.1, truth), truth, WINDOW)
    assert measured["rmse_hu_rim"] == pytest.approx(140.0)
    assert measured["noise_hu_lung"] == measured["bias_hu_lung"] == 0
