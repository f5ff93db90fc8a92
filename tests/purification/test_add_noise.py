"""Module 2: its noise is as strong as asked, and the measure of noise is blind to anatomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import Acquisition
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.add_noise import AddNoise, calibrate, lung_region, noise_level

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
    found = calibrate(MODEL, low_dose(many, photons, "low"), many, np.full(len(many), PIXEL_MM), seed=0)
    assert found.acquisition.photons == pytest.approx(photons, rel=0.03)
    assert replace(found.acquisition, photons=1.0) == replace(MODEL.acquisition, photons=1.0)


def test_calibration_on_other_noise_is_right_on_average(normal: np.ndarray) -> None:
    found = [
        calibrate(MODEL, low_dose(normal, 1000.0, "low", i), normal, np.full(len(normal), PIXEL_MM), seed=i)
        for i in range(5)
    ]
    ratios = np.array([model.acquisition.photons for model in found]) / 1000.0
    assert ratios.mean() == pytest.approx(1.0, rel=0.05)


def test_calibration_leaves_the_published_model_alone(normal: np.ndarray) -> None:
    model = AddNoise(Window(), dose_model="published")
    assert calibrate(model, normal, normal, np.ones(len(normal)), seed=0) == model


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


@pytest.mark.parametrize("dose_model", ["physical", "published"])
def test_noisy_slices_stay_in_range_and_differ(normal: np.ndarray, dose_model: str) -> None:
    model = AddNoise(Window(), Acquisition(photons=200.0, filter_name="hann", views=90), dose_model)
    first, again, other = (apply(model, normal[:2], name) for name in ("a", "a", "b"))
    assert first.shape == normal[:2].shape and np.isfinite(first).all()
    assert first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 1e-3


def test_lung_region_lies_well_inside_the_lung(normal: np.ndarray) -> None:
    for image in normal[[2, 8]]:
        region = lung_region(image, image)
        hu = Window().hu(image)
        assert region.sum() > 200
        # Vessels remain in it, the wall does not.
        assert np.median(hu[region]) < -700
        assert not (ndimage.binary_dilation(region, iterations=2) & (ndimage.uniform_filter(hu, 5) > -200)).any()


def test_unknown_dose_models_are_refused() -> None:
    with pytest.raises(ValueError, match="'guess' is unknown: use physical or published"):
        AddNoise(Window(), dose_model="guess")
