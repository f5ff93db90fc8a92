"""Calibration: module 2 is as strong as asked, and the measure of noise is blind to anatomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.errors import InputError
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.purification.calibration import calibrate
from ipv2_bench.purification.noise_level import lung_region, noise_level, outside_region

SIZE, PIXEL_MM = 128, 400 / 128
MODEL = AddNoise(Window(), Acquisition(photons=1e4, filter_name="hann", views=90))


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    """Twelve sections of two patients, [12, 128, 128] in [0, 1], free of noise."""
    patients = [Patient.draw(np.random.default_rng(seed)) for seed in (21, 22)]
    levels = np.linspace(0.3, 0.8, 6)
    hu = [draw_section(p, float(level), SIZE, PIXEL_MM).hu for p in patients for level in levels]
    return Window().unit(np.stack(hu).astype(np.float32))


def apply(model: AddNoise, normal: np.ndarray, *key: int | str) -> np.ndarray:
    generators = [torch_generator(*key, i) for i in range(len(normal))]
    return model(torch.from_numpy(normal)[:, None], torch.full((len(normal),), PIXEL_MM), generators)[:, 0].numpy()


def low_dose(normal: np.ndarray, photons: float, *key: int | str) -> np.ndarray:
    return apply(replace(MODEL, acquisition=replace(MODEL.acquisition, photons=photons)), normal, *key)


@pytest.mark.parametrize("photons", [1000.0, 4000.0])
def test_calibration_recovers_known_photons(normal: np.ndarray, photons: float) -> None:
    many = np.tile(normal, (4, 1, 1))  # one draw of twelve slices is itself some percent off
    calibration = calibrate(MODEL, low_dose(many, photons, "low"), many, np.full(len(many), PIXEL_MM), seed=0)
    acquisition = calibration.add_noise.acquisition
    assert acquisition.photons == pytest.approx(photons, rel=0.03)
    assert replace(acquisition, photons=1.0) == replace(MODEL.acquisition, photons=1.0)
    assert calibration.interval[0] < photons < calibration.interval[1]
    assert calibration.interval[1] < 1.2 * calibration.interval[0]
    assert calibration.slices == len(many)
    for region in ("lung", "background"):
        low, simulated = calibration.levels[region]
        assert simulated == pytest.approx(low, rel=0.05) and 10 < low < 400


def test_calibration_by_dose_is_that_by_photons(normal: np.ndarray) -> None:
    many = np.tile(normal, (4, 1, 1))
    inserted = replace(MODEL, acquisition=replace(MODEL.acquisition, photons=4e4, dose=0.02, inserted=True))
    calibration = calibrate(inserted, low_dose(many, 1000.0, "low"), many, np.full(len(many), PIXEL_MM), seed=0)
    # The slices are free of noise, so to insert 98 % of the variance takes fewer photons.
    assert calibration.add_noise.acquisition.photons * 0.02 == pytest.approx(0.98 * 1000.0, rel=0.03)


# Fine anatomy counts as noise then: the fewer noise, the more too few photons.
@pytest.mark.parametrize(("photons", "least"), [(1000.0 / PIXEL_MM, 0.88), (4000.0 / PIXEL_MM, 0.70)])
def test_a_set_of_uldct_alone_gives_a_rough_answer(normal: np.ndarray, photons: float, least: float) -> None:
    many = np.tile(normal, (4, 1, 1))
    calibration = calibrate(MODEL, low_dose(many, photons, "low"), None, np.full(len(many), PIXEL_MM), seed=0)
    assert least * photons < calibration.add_noise.acquisition.photons < 1.05 * photons


def test_intervals_are_wider_over_few_patients(normal: np.ndarray) -> None:
    low, mm = low_dose(normal, 1000.0, "low"), np.full(len(normal), PIXEL_MM)
    low[6:] = low_dose(normal[6:], 2500.0, "low")  # patients differ
    patient = ["a"] * 3 + ["b"] * 3 + ["c"] * 3 + ["d"] * 3
    widths = [np.ptp(calibrate(MODEL, low, normal, mm, seed=0, patient=p).interval) for p in (patient, list(range(12)))]
    assert widths[0] > 1.2 * widths[1]


def test_calibration_on_other_noise_is_right_on_average(normal: np.ndarray) -> None:
    calibrations = [
        calibrate(MODEL, low_dose(normal, 1000.0, "low", i), normal, np.full(len(normal), PIXEL_MM), seed=i)
        for i in range(5)
    ]
    ratios = np.array([one.add_noise.acquisition.photons for one in calibrations]) / 1000.0
    assert ratios.mean() == pytest.approx(1.0, rel=0.05)


def test_calibration_leaves_the_published_model_alone(normal: np.ndarray) -> None:
    model = AddNoise(Window(), dose_model="published")
    calibration = calibrate(model, normal, normal, np.ones(len(normal)), seed=0, rounds=1)
    assert calibration.add_noise == model


def test_calibration_without_lung_is_refused() -> None:
    at = np.arange(64) - 31.5
    disc = np.where(at[:, None] ** 2 + at**2 < 25**2, 0.8, 0.0).astype(np.float32)[None]
    with pytest.raises(InputError, match="no training pair shows lung"):
        calibrate(MODEL, disc, disc, np.ones(1), seed=0)


@pytest.mark.parametrize("std", [0.01, 0.05, 0.2])
def test_noise_level_is_proportional_to_white_noise(std: float) -> None:
    region = np.zeros((256, 256), bool)
    region[20:200, 30:220] = True
    impulse = np.zeros((65, 65))
    impulse[32, 32] = 1
    passed = np.sqrt(((impulse - ndimage.gaussian_filter(impulse, 2.0)) ** 2).sum())  # gain of the high-pass
    noise = np.random.default_rng(0).normal(0, std, region.shape)
    assert noise_level(noise, region) == pytest.approx(std * passed, rel=0.02)


def test_noise_level_is_blind_to_a_ramp_and_to_the_outside() -> None:
    region = np.zeros((128, 128), bool)
    region[20:100, 20:100] = True
    noise = np.random.default_rng(1).normal(0, 0.05, region.shape)
    ramp = np.linspace(0, 3, 128)[None] + np.linspace(-1, 1, 128)[:, None]
    far = np.where(ndimage.binary_dilation(region, iterations=10), 0.0, 100.0)
    level = noise_level(noise, region)
    assert noise_level(noise + ramp, region) == pytest.approx(level, rel=1e-3)
    assert noise_level(noise + far, region) == pytest.approx(level, rel=1e-3)


def test_lung_region_lies_well_inside_the_lung(normal: np.ndarray) -> None:
    for image in normal[[2, 8]]:
        region = lung_region(image, image)
        hu = Window().hu(image)
        assert region.sum() > 200
        # Vessels remain in it, the wall does not.
        assert np.median(hu[region]) < -700
        assert not (ndimage.binary_dilation(region, iterations=2) & (ndimage.uniform_filter(hu, 5) > -200)).any()


def test_outside_is_air_around_the_body(normal: np.ndarray) -> None:
    low = low_dose(normal, 1000.0, "low")
    for i in (2, 8):
        outside = outside_region(low[i], normal[i])
        assert outside.sum() > 1000
        assert not (outside & lung_region(low[i], normal[i])).any()
        assert np.quantile(Window().hu(normal[i])[outside], 0.95) < -900
