"""Spectra of noise: mean frequency of noise of known colour, blind to bias and slow structure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import erf

from ipv2_bench.metrics.measures import noise_texture
from ipv2_bench.metrics.measures.noise_texture import (
    HIGHEST,
    LOWEST,
    NoiseTexture,
    mean_frequency,
    spectral_moments,
)
from tests.metrics.chest import (
    SIZE,
    WINDOW,
    blurred,
    chest,
    large_chest,
    slice_truth,
    truth_of_hu,
    values,
    values_of_hu,
)

WIDTHS = [0.0, 0.5, 0.8, 1.2, 1.6, 2.0]
"""Standard deviations in pixels of the Gaussian that white noise is smoothed by; 0 is white noise itself."""


def coloured(shape: tuple[int, int], width: float, sigma: float, seed: int) -> np.ndarray:
    """Noise of deviation ``sigma`` whose power spectrum is exp(−4π²w²f²), [N, N]."""
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    white = np.random.default_rng(seed).standard_normal(shape)
    noise = np.fft.irfft2(np.fft.rfft2(white) * np.exp(-2.0 * (np.pi * width * f) ** 2), s=shape)
    return sigma * noise / noise.std()


def expected_mean(width: float) -> float:
    """∫ f exp(−a f²) df / ∫ exp(−a f²) df between the frequencies that are measured, in 1/pixel, with a = 4π²w²."""
    if width == 0.0:
        return (LOWEST + HIGHEST) / 2
    a = (2.0 * np.pi * width) ** 2
    moment = (np.exp(-a * LOWEST**2) - np.exp(-a * HIGHEST**2)) / (2.0 * a)
    return moment / (np.sqrt(np.pi / a) / 2.0 * (erf(np.sqrt(a) * HIGHEST) - erf(np.sqrt(a) * LOWEST)))


def shift(image: np.ndarray, truth: np.ndarray, low: np.ndarray, pixel_mm: float = 1.0) -> float:
    """The column for images in [0, 1]."""
    return values(NoiseTexture(), image, slice_truth(truth, low), pixel_mm)["nps_mean_shift_per_mm"]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_mean_frequency_of_noise_of_known_colour_is_that_of_the_closed_form(width: float) -> None:
    truth = truth_of_hu(large_chest(1.0))
    lung = truth.anatomy.regions["lung"]
    moments = np.mean([spectral_moments(coloured(lung.shape, width, 50.0, i), lung) for i in range(6)], axis=0)
    assert mean_frequency(*moments) == pytest.approx(expected_mean(width), rel=0.01)


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_the_shift_is_that_between_the_closed_forms_in_1_per_mm(width: float) -> None:
    hu = large_chest(1.0)
    images = [hu + coloured(hu.shape, width, 40.0, i) for i in range(4)]
    truths = [truth_of_hu(hu, hu + coloured(hu.shape, 0.0, 120.0, 10 + i)) for i in range(4)]
    measured = values_of_hu(NoiseTexture(), np.stack(images), truths, pixel_mm=0.7)["nps_mean_shift_per_mm"]
    assert measured == pytest.approx((expected_mean(width) - expected_mean(0.0)) / 0.7, rel=0.03)


def expected_power(width: float, sigma: float, lowest: float, highest: float) -> float:
    """∫ NPS df between two frequencies, in HU²/pixel, of noise of deviation ``sigma`` whose spectrum is exp(−4π²w²f²)."""

    def colour(frequency: np.ndarray) -> np.ndarray:
        return np.exp(-((2.0 * np.pi * width * frequency) ** 2))

    f = np.fft.fftfreq(256)
    scale = sigma**2 / colour(np.hypot(f[:, None], f)).mean()  # the variance is the mean of the spectrum over the plane
    middles = lowest + (np.arange(1000) + 0.5) * (highest - lowest) / 1000
    return float(scale * colour(middles).mean() * (highest - lowest))


@pytest.mark.parametrize("width", [0.0, 0.5, 0.8, 1.2])
def test_noise_has_its_power_at_every_frequency(width: float, monkeypatch: pytest.MonkeyPatch) -> None:
    lung = truth_of_hu(large_chest(1.0)).anatomy.regions["lung"]
    noise = [coloured(lung.shape, width, 50.0, i) for i in range(20)]
    bands = list(pairwise(np.linspace(LOWEST, HIGHEST, 8)))
    # The edge of the lung leaks: up to 0.2 % of the strongest band's power into each of the others.
    leaked = 0.002 * max(expected_power(width, 50.0, *band) for band in bands)
    for lowest, highest in bands:
        monkeypatch.setattr(noise_texture, "LOWEST", lowest)
        monkeypatch.setattr(noise_texture, "HIGHEST", highest)
        integral, moment = np.mean([spectral_moments(image, lung) for image in noise], axis=0)
        expected = expected_power(width, 50.0, lowest, highest)
        assert integral == pytest.approx(expected, abs=0.02 * expected + leaked), (lowest, highest)
        assert lowest < moment / integral < highest


def test_a_region_of_few_pixels_has_no_spectrum() -> None:
    mask = np.zeros((64, 64), bool)
    mask[:4, :4] = True
    assert np.isnan(spectral_moments(np.ones((64, 64)), mask)).all()


def test_bias_and_slow_structure_are_no_noise() -> None:
    truth = blurred(1.0)
    noise = np.random.default_rng(0).normal(0, 60 / WINDOW.width, truth.shape)
    slow = 200 / WINDOW.width * np.sin(np.arange(SIZE) / SIZE * 2 * np.pi)
    low, shifted = truth + noise, truth + noise + 0.1 + slow
    assert abs(shift(shifted, truth, low)) < 0.005
    assert shift(low, truth, low) == 0.0


def test_the_uldct_is_not_clipped() -> None:
    hu = large_chest(1.0)
    low = hu + coloured(hu.shape, 0.8, 250.0, 0)
    assert values_of_hu(NoiseTexture(), low[None], [truth_of_hu(hu, low)])["nps_mean_shift_per_mm"] == 0.0
    clipped = WINDOW.hu(WINDOW.unit(low))
    assert abs(values_of_hu(NoiseTexture(), clipped[None], [truth_of_hu(hu, low)])["nps_mean_shift_per_mm"]) > 0.002


def test_without_lung_or_noise_there_is_no_shift() -> None:
    truth = chest(lung=False)[0]
    assert np.isnan(shift(truth + 0.01, truth, truth + 0.02))
    with_lung = blurred(1.0)
    noise = 0.01 * np.random.default_rng(0).normal(size=with_lung.shape)
    assert np.isnan(shift(with_lung, with_lung, with_lung + noise))
