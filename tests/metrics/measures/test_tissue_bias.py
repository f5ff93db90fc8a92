"""Bias of tissues: what was put in is measured, and tissues are where they were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.base import TISSUES
from ipv2_bench.metrics.measures.tissue_bias import TissueBias
from tests.metrics.chest import drawn, truth_of_hu, values_of_hu

PUT_IN = {"fat": -12.0, "muscle": 7.5, "airway": 40.0}


def test_the_bias_of_each_tissue_is_that_put_in() -> None:
    hu, masks = drawn()
    image = hu + sum(PUT_IN[name] * mask for name, mask in masks.items())
    columns = values_of_hu(TissueBias(), image[None], [truth_of_hu(hu)])
    assert columns == pytest.approx({f"bias_hu_{name}": value for name, value in PUT_IN.items()}, abs=1e-4)


def test_tissues_are_inside_of_what_was_drawn_and_emphysema_is_no_airway() -> None:
    hu, masks = drawn()
    found = truth_of_hu(hu).anatomy.tissues
    assert found.keys() == set(TISSUES)
    for name, mask in masks.items():
        assert found[name].sum() > 0.25 * mask.sum() and not (found[name] & ~mask).any(), name


def test_a_tissue_that_a_slice_lacks_is_nan() -> None:
    hu, masks = drawn()
    hu[masks["airway"]] = 50.0
    columns = values_of_hu(TissueBias(), hu[None], [truth_of_hu(hu)])
    assert np.isnan(columns["bias_hu_airway"]) and columns["bias_hu_fat"] == 0.0
