"""Contrast of nodules over that of the truth, and over the noise around them."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.measures.nodules import Nodules
from tests.metrics.chest import WINDOW, chest, disc, slice_truth, values


def test_contrast_and_noise_are_those_put_in() -> None:
    truth, _ = chest()
    share = disc(0, 30, 4).astype(np.float32)
    truth = np.where(share > 0, WINDOW.unit(np.array(-50.0)), truth)
    noise = np.random.default_rng(0).normal(0, 80 / WINDOW.width, truth.shape)
    faded = np.where(share > 0, truth - 0.5 * 800 / WINDOW.width, truth)
    columns = values(Nodules(), faded + noise, slice_truth(truth, share=share))
    assert columns["nodule_contrast"] == pytest.approx(0.5, abs=0.06)
    assert columns["nodule_cnr"] == pytest.approx(400 / 80, rel=0.2)
    without_noise = values(Nodules(), faded, slice_truth(truth, share=share))
    assert without_noise["nodule_contrast"] == pytest.approx(0.5, abs=1e-9)


def test_where_nodules_are_not_known_both_are_nan() -> None:
    truth = chest()[0]
    columns = values(Nodules(), truth, slice_truth(truth))
    assert np.isnan(columns["nodule_cnr"]) and np.isnan(columns["nodule_contrast"])
