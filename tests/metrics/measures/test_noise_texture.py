"""Spectra of noise: flat for white noise, with the peak of coloured noise, blind to bias and slow structure."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.measures.noise_texture import LOWEST_BIN, NPS_BINS, NoiseTexture, noise_power, peak_and_mean
from tests.metrics.chest import SIZE, WINDOW, blurred, chest, slice_truth, values


def shifts(image: np.ndarray, truth: np.ndarray, low: np.ndarray, pixel_mm: float = 1.0) -> tuple[float, float]:
    """Shift of peak and mean frequency."""
    columns = values(NoiseTexture(), image, slice_truth(truth, low), pixel_mm)
    return columns["nps_peak_shift_per_mm"], columns["nps_mean_shift_per_mm"]


def spectrum(image: np.ndarray, truth: np.ndarray, pixel_mm: float = 1.0) -> tuple[float, float]:
    """Peak and mean frequency of the error in the lung."""
    nps = NoiseTexture().of_slice(image, slice_truth(truth))["nps"]
    frequency = (np.arange(NPS_BINS) + 0.5)[LOWEST_BIN:] / (2.0 * NPS_BINS) / pixel_mm
    return peak_and_mean(np.asarray(nps), frequency)


def test_white_noise_has_a_flat_spectrum_of_its_variance() -> None:
    mask = chest()[1]["lung"]
    power = np.mean([noise_power(np.random.default_rng(i).normal(0, 50, mask.shape), mask) for i in range(60)], axis=0)
    assert power.shape == (NPS_BINS,)
    np.testing.assert_allclose(power[LOWEST_BIN:], 2500.0, rtol=0.15)


def test_a_region_of_few_pixels_has_no_spectrum() -> None:
    mask = np.zeros((64, 64), bool)
    mask[:4, :4] = True
    assert np.isnan(noise_power(np.ones((64, 64)), mask)).all()


def test_the_peak_of_coloured_noise_is_found_in_1_per_mm() -> None:
    truth = blurred(1.0)
    rng = np.random.default_rng(1)
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None])

    def coloured(peak: float) -> np.ndarray:
        shape = np.exp(-(((frequency - peak) / 0.04) ** 2) / 2)
        noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=truth.shape)) * shape).real
        return truth + noise / noise.std() * 60 / WINDOW.width

    image, low = coloured(0.15), coloured(0.3)
    assert spectrum(image, truth, pixel_mm=2.0)[0] == pytest.approx(0.15 / 2.0, abs=0.025)
    peak, mean = shifts(image, truth, low, pixel_mm=2.0)
    assert peak == pytest.approx(-0.15 / 2.0, abs=0.035)
    assert mean == pytest.approx(-0.15 / 2.0, abs=0.02)


def test_bias_and_slow_structure_are_no_noise() -> None:
    truth = blurred(1.0)
    noise = np.random.default_rng(0).normal(0, 60 / WINDOW.width, truth.shape)
    slow = 200 / WINDOW.width * np.sin(np.arange(SIZE) / SIZE * 2 * np.pi)
    low, shifted = truth + noise, truth + noise + 0.1 + slow
    assert spectrum(shifted, truth)[0] > 1 / 16 and abs(shifts(shifted, truth, low)[1]) < 0.03
    assert shifts(low, truth, low) == (0.0, 0.0)


def test_without_lung_there_is_no_shift() -> None:
    truth = chest(lung=False)[0]
    assert np.isnan(shifts(truth + 0.01, truth, truth + 0.02)).all()
