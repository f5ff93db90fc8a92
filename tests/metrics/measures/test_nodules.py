"""Contrast of nodules over that of the truth, and over the noise around them."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.measures.nodules import Nodules
from tests.metrics.chest import WINDOW, chest, disc, slice_truth, truth_of_hu, values, values_of_hu


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


def test_density_and_size_are_those_put_in() -> None:
    truth, _ = chest()
    share = disc(0, 30, 4).astype(np.float32)
    hu = np.where(share > 0, -50.0, WINDOW.hu(truth))
    known = truth_of_hu(hu, share=share)
    denser = values_of_hu(Nodules(), (hu + 30.0 * share)[None], [known])
    assert denser["bias_hu_nodule"] == pytest.approx(30.0) and denser["nodule_area"] == 1.0
    grown = np.where(disc(0, 30, 5), -50.0, hu)
    assert values_of_hu(Nodules(), grown[None], [known])["nodule_area"] == pytest.approx(disc(0, 30, 5).sum() / share.sum())
    gone = values_of_hu(Nodules(), WINDOW.hu(truth)[None], [known])
    assert gone["bias_hu_nodule"] == pytest.approx(-800.0) and gone["nodule_contrast"] == pytest.approx(0.0)
    assert gone["nodule_area"] == pytest.approx(1.0 / share.sum())
