"""Spectra of the lung: noise put in raises all bands as it should, blur lowers the fine ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.metrics.measures.lung_spectrum import BANDS, LungSpectrum, band_power
from tests.metrics.chest import WINDOW, chest, truth_of_hu, values_of_hu

RNG = np.random.default_rng(0)
PLAIN = WINDOW.hu(chest()[0])
TEXTURES = [PLAIN + RNG.normal(0.0, 20.0, PLAIN.shape) for _ in range(8)]
TRUTHS = [truth_of_hu(x) for x in TEXTURES]


def columns(images: np.ndarray) -> tuple[float, float]:
    found = values_of_hu(LungSpectrum(), images, TRUTHS)
    return found["lung_spectrum_db"], found["lung_spectrum_high_db"]


def test_as_much_noise_again_is_three_decibel() -> None:
    images = np.stack(TEXTURES) + RNG.normal(0.0, 20.0, (8, *PLAIN.shape))
    assert columns(images) == pytest.approx((10 * np.log10(2.0),) * 2, abs=0.15)
    assert columns(np.stack(TEXTURES)) == (0.0, 0.0)


def test_blur_is_seen_with_its_sign() -> None:
    difference, fine = columns(ndimage.gaussian_filter(np.stack(TEXTURES), (0, 1.0, 1.0)))
    assert fine < -10.0 and difference > 8.0


def test_white_noise_has_its_variance_in_every_band_and_a_small_lung_none() -> None:
    region = np.ones((96, 96), bool)
    power = np.mean([band_power(RNG.normal(0.0, 5.0, region.shape), region) for _ in range(40)], axis=0)
    assert power == pytest.approx(np.full(BANDS - 1, 25.0), rel=0.05)
    assert np.isnan(band_power(np.zeros((96, 96)), np.zeros((96, 96), bool))).all()
