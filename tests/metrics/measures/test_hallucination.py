"""Structure that is put into an image, or taken out of it, is told apart by who has it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.metrics.measures.hallucination import Hallucination
from tests.metrics.chest import WINDOW, chest, disc, truth_of_hu, values_of_hu

PLAIN = WINDOW.hu(chest()[0])
ONE, OTHER = disc(0, 30, 3.0), disc(0, -30, 3.0)


def with_nodules(*nodules: np.ndarray) -> np.ndarray:
    """The chest with nodules of 6 mm and 500 HU."""
    return PLAIN + 500.0 * np.sum(nodules, axis=0) if nodules else PLAIN


def shares(image: np.ndarray, low: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    columns = values_of_hu(Hallucination(), image[None], [truth_of_hu(truth, low)])
    return columns["invented_structure"], columns["noise_structure"], columns["lost_structure"]


def test_a_nodule_that_nobody_has_is_invented_and_one_of_the_uldct_is_noise() -> None:
    image = with_nodules(ONE)
    invented, noise, lost = shares(image, PLAIN, PLAIN)
    assert invented > 0.5 and noise == lost == 0.0
    from_nothing, from_noise, lost = shares(image, image, PLAIN)
    assert from_noise == pytest.approx(invented) and from_nothing == lost == 0.0
    assert shares(image, PLAIN, image) == (0.0, 0.0, 0.0)


def test_a_nodule_that_is_gone_is_lost() -> None:
    truth = with_nodules(ONE, OTHER)
    invented, noise, lost = shares(with_nodules(OTHER), truth, truth)
    assert invented == noise == 0.0 and lost > 0.5
    assert shares(PLAIN, truth, truth)[2] == pytest.approx(2.0 * lost, rel=0.05)


def test_a_blur_loses_and_a_displacement_of_a_pixel_does_not() -> None:
    truth = with_nodules(ONE, OTHER)
    assert shares(np.roll(truth, 1, axis=1), truth, truth) == (0.0, 0.0, 0.0)
    assert shares(ndimage.gaussian_filter(truth, 4.0), truth, truth)[2] > 5.0


def test_thin_structure_counts_too() -> None:
    hole = PLAIN - 400.0 * disc(-45, 0, 3.0)
    invented, noise, lost = shares(hole, PLAIN, PLAIN)
    assert invented > 0.5 and noise == lost == 0.0
