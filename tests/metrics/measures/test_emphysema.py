"""The emphysema index of noise and of emphysema that were put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from ipv2_bench.metrics.measures.emphysema import Emphysema
from tests.metrics.chest import WINDOW, chest, disc, slice_truth, truth_of_hu, values, values_of_hu


def test_noise_looks_like_emphysema_as_much_as_its_deviation_says() -> None:
    truth, _ = chest()
    noise = np.random.default_rng(0).normal(0.0, 80.0, (6, *truth.shape))
    images = WINDOW.hu(truth) + noise
    share = values_of_hu(Emphysema(), images, [slice_truth(truth)] * 6)["laa950_error"]
    assert share == pytest.approx(100.0 * norm.cdf(-950.0, loc=-850.0, scale=80.0), rel=0.05)


def test_emphysema_that_is_gone_counts_with_its_sign() -> None:
    healthy = WINDOW.hu(chest()[0])
    ill = np.where(disc(0, 30, 8), -980.0, healthy)
    truth = truth_of_hu(ill)
    lost = 100.0 * (ill[truth.anatomy.regions["lung"]] < -950).mean()
    assert lost > 3.0
    assert values_of_hu(Emphysema(), healthy[None], [truth])["laa950_error"] == pytest.approx(-lost)
    assert values(Emphysema(), WINDOW.unit(ill), truth)["laa950_error"] == 0.0
