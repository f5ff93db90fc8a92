"""Fidelity to the truth, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics.anatomy import REGIONS, Anatomy, anatomy, regions, rim
from ipv2_bench.metrics.fidelity import LOWEST_BIN, NPS_BINS, curves, fidelity, from_curves, noise_power
from ipv2_bench.physics.intensity import Window

WINDOW = Window(-1000.0, 400.0)


def chest(lung: bool = True) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A disc of water with two round lungs and a spine, and where each region is."""
    at = np.arange(160) - 79.5
    y, x = at[:, None], at[None]
    body = x**2 + y**2 < 70**2
    air = ((np.abs(x) - 30) ** 2 + y**2 < 22**2) & lung
    bone = x**2 + (y - 45) ** 2 < 11**2
    hu = np.where(body, np.where(air, -850.0, np.where(bone, 350.0, 0.0)), -1000.0)
    return WINDOW.unit(hu), {"background": ~body, "lung": air, "tissue": body & ~air & ~bone, "bone": bone}


def measured(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return fidelity(image, truth, WINDOW, anatomy(truth, WINDOW))


def test_psnr_and_rmse_by_hand() -> None:
    truth = chest()[0]
    image = truth.copy()
    image[:80] += 0.1  # half of the pixels, 140 HU
    found = measured(image, truth)
    assert found["rmse_hu"] == pytest.approx(140 / 2**0.5)
    assert found["psnr_db"] == pytest.approx(10 * np.log10(1 / 0.005))
    assert found["ssim"] < 1


def test_equal_images() -> None:
    truth = chest()[0].astype(np.float32)
    found = measured(truth, truth)
    assert found["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert found["rmse_hu"] == 0 and found["psnr_db"] > 150
    assert all(found[f"{kind}_hu_{name}"] == 0 for kind in ("noise", "bias") for name in REGIONS)


def test_noise_and_bias_of_each_region_are_those_put_in() -> None:
    truth, where = chest()
    noise, bias = (
        {"background": 20.0, "lung": 90.0, "tissue": 45.0, "bone": 60.0},
        {
            "background": 5.0,
            "lung": -30.0,
            "tissue": 15.0,
            "bone": -50.0,
        },
    )
    draw = np.random.default_rng(0).standard_normal(truth.shape)
    error = sum(np.where(where[name], bias[name] + noise[name] * draw, 0.0) for name in REGIONS)
    found = measured(truth + error / WINDOW.width, truth)
    for name in REGIONS:
        assert found[f"noise_hu_{name}"] == pytest.approx(noise[name], rel=0.15 if name == "bone" else 0.05)
        assert found[f"bias_hu_{name}"] == pytest.approx(bias[name], abs=4 * noise[name] / where[name].sum() ** 0.5)


def test_regions_keep_a_rim_from_every_edge() -> None:
    truth, where = chest()
    found = regions(truth, WINDOW)
    for name in REGIONS:
        inside = found[name]
        assert not (ndimage.binary_dilation(inside, iterations=1 if name == "bone" else 2) & ~where[name]).any()
        assert inside.sum() > 0.75 * where[name].sum()
    assert found["background"][0].all()  # the border of the image is no edge


def test_a_region_that_is_absent_is_nan() -> None:
    truth = chest(lung=False)[0]
    found = measured(truth + 0.01, truth)
    assert np.isnan(found["noise_hu_lung"]) and np.isnan(found["bias_hu_lung"])
    assert found["bias_hu_tissue"] == pytest.approx(14.0)
    assert np.isfinite(found["noise_hu_background"])


def test_regions_of_the_phantom_are_there(phantom: SliceSet) -> None:
    for truth in phantom.truth:
        shares = {name: region.mean() for name, region in regions(np.array(truth), WINDOW).items()}
        assert shares["background"] > 0.2 and shares["lung"] > 0.02, shares
        assert shares["tissue"] > 0.05 and shares["bone"] > 0.003, shares
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
    found = measured(np.where(border, truth + 0.1, truth), truth)
    assert found["rmse_hu_rim"] == pytest.approx(140.0)
    assert found["noise_hu_lung"] == found["bias_hu_lung"] == 0


def blurred(sigma: float) -> np.ndarray:
    """The chest drawn four times finer, blurred by ``sigma`` pixels and averaged down: an edge without steps."""
    at = (np.arange(640) - 319.5) / 4
    y, x = at[:, None], at[None]
    air = (np.abs(x) - 30) ** 2 + y**2 < 22**2
    hu = np.where(x**2 + y**2 < 70**2, np.where(air, -850.0, 0.0), -1000.0)
    fine = ndimage.gaussian_filter(hu, 4 * sigma)
    return WINDOW.unit(fine.reshape(160, 4, 160, 4).mean((1, 3)))


def numbers(image: np.ndarray, truth: np.ndarray, low: np.ndarray, pixel_mm: float = 1.0) -> dict[str, float]:
    where = anatomy(truth, WINDOW)
    found = curves(image, truth, WINDOW, where)
    found["nps_low"] = curves(low, truth, WINDOW, where)["nps"]
    return from_curves(found, pixel_mm)


@pytest.mark.parametrize(("sharp", "blur"), [(1.0, 1.0), (1.0, 2.0), (1.5, 2.0)])
def test_the_lungs_border_tells_the_blur_put_in(sharp: float, blur: float) -> None:
    truth, image = blurred(sharp), blurred(float(np.hypot(sharp, blur)))
    # A Gaussian's transfer falls to one half at a frequency that goes with 1/σ.
    found = numbers(image, truth, image)["edge_mtf50"]
    assert found == pytest.approx(sharp / np.hypot(sharp, blur), rel=0.1)
    assert numbers(truth, truth, image)["edge_mtf50"] == pytest.approx(1.0, abs=1e-12)


def test_noise_does_not_pass_for_sharpness() -> None:
    truth = blurred(1.0)
    noisy = truth + np.random.default_rng(0).normal(0, 100 / WINDOW.width, truth.shape)
    assert numbers(noisy, truth, noisy)["edge_mtf50"] == pytest.approx(1.0, abs=0.1)


def test_the_border_of_a_vessel_is_none_of_the_lung() -> None:
    body = chest(lung=False)[0] > 0
    at = np.arange(160) - 79.5
    truth = np.where(body, WINDOW.unit(np.array(0.0)), 0.0)
    truth[(at[:, None] ** 2 + at[None] ** 2) < 5**2] = WINDOW.unit(np.array(-850.0))  # an airway: 31 pixels around
    assert anatomy(truth, WINDOW).edge_pixels.size == 0


def test_white_noise_has_a_flat_spectrum_of_its_variance() -> None:
    mask = chest()[1]["lung"]
    power = np.mean([noise_power(np.random.default_rng(i).normal(0, 50, mask.shape), mask) for i in range(60)], axis=0)
    assert power.shape == (NPS_BINS,)
    np.testing.assert_allclose(power[LOWEST_BIN:], 2500.0, rtol=0.15)


def test_a_region_of_few_pixels_has_no_spectrum() -> None:
    mask = np.zeros((64, 64), bool)
    mask[:4, :4] = True
    assert np.isnan(noise_power(np.ones((64, 64)), mask)).all()


def test_the_peak_of_coloured_noise_is_where_it_was_put() -> None:
    truth = blurred(1.0)
    rng = np.random.default_rng(1)
    frequency = np.hypot(np.fft.fftfreq(160)[:, None], np.fft.fftfreq(160)[None])

    def coloured(peak: float) -> np.ndarray:
        shape = np.exp(-(((frequency - peak) / 0.04) ** 2) / 2)
        noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=truth.shape)) * shape).real
        return truth + noise / noise.std() * 60 / WINDOW.width

    found = numbers(coloured(0.15), truth, coloured(0.3), pixel_mm=2.0)
    assert found["nps_peak_per_mm"] == pytest.approx(0.15 / 2.0, abs=0.025)
    assert found["nps_peak_shift_per_mm"] == pytest.approx(-0.15 / 2.0, abs=0.035)
    assert found["nps_mean_shift_per_mm"] == pytest.approx(-0.15 / 2.0, abs=0.02)


def test_bias_and_slow_structure_are_no_noise() -> None:
    truth = blurred(1.0)
    noise = np.random.default_rng(0).normal(0, 60 / WINDOW.width, truth.shape)
    slow = 200 / WINDOW.width * np.sin(np.arange(160) / 160 * 2 * np.pi)
    plain, shifted = (numbers(truth + noise + add, truth, truth + noise) for add in (0.0, 0.1 + slow))
    assert shifted["nps_peak_per_mm"] > 1 / 16 and abs(shifted["nps_mean_shift_per_mm"]) < 0.03
    assert plain["nps_peak_shift_per_mm"] == plain["nps_mean_shift_per_mm"] == 0.0


def with_nodule() -> tuple[np.ndarray, np.ndarray, Anatomy]:
    truth, _ = chest()
    at = np.arange(160) - 79.5
    share = ((at[:, None] ** 2 + (at[None] - 30) ** 2) < 4**2).astype(np.float32)
    truth = np.where(share > 0, WINDOW.unit(np.array(-50.0)), truth)
    return truth, share, anatomy(truth, WINDOW, 1.0, share)


def test_nodules_are_told_by_contrast_and_noise() -> None:
    truth, share, where = with_nodule()
    (nodule,) = where.nodules
    assert (nodule.inside == (share > 0)).all() and not (nodule.around & nodule.inside).any()
    noise = np.random.default_rng(0).normal(0, 80 / WINDOW.width, truth.shape)
    faded = np.where(share > 0, truth - 0.5 * 800 / WINDOW.width, truth)
    found = fidelity(faded + noise, truth, WINDOW, where)
    assert found["nodule_contrast"] == pytest.approx(0.5, abs=0.06)
    assert found["nodule_cnr"] == pytest.approx(400 / 80, rel=0.2)
    assert np.isnan(measured(truth, truth)["nodule_cnr"])  # where nodules are not known


def test_a_nodule_of_two_pixels_or_without_lung_around_is_left_out() -> None:
    truth, _, _ = with_nodule()
    tiny, walled = np.zeros_like(truth), np.zeros_like(truth)
    tiny[80, 110:112] = 1.0
    walled[20:25, 78:84] = 1.0  # in the chest wall
    assert anatomy(truth, WINDOW, 1.0, tiny).nodules == anatomy(truth, WINDOW, 1.0, walled).nodules == ()
