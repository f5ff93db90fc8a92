"""Transfer at edges of three contrasts: blur that is put in at one of them is seen there alone."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.base import EDGE_CONTRASTS
from ipv2_bench.metrics.edges import find_edges
from ipv2_bench.metrics.measures.task_transfer import TaskTransfer
from tests.metrics.chest import DISC, PLACES, SIZE, three_contrasts, truth_of_hu, values_of_hu

SHARP = dict.fromkeys(EDGE_CONTRASTS, 1.0)


@pytest.mark.parametrize("blurred", EDGE_CONTRASTS)
def test_the_frequency_falls_with_the_blur_of_its_own_contrast(blurred: int) -> None:
    truth = truth_of_hu(three_contrasts(SHARP))
    columns = values_of_hu(TaskTransfer(), three_contrasts({**SHARP, blurred: 2.0})[None], [truth])
    for contrast in EDGE_CONTRASTS:
        # Of Gaussian edges the frequency is √(ln 2 / 2) / (π σ); σ is that of the blur and of the pixel, 1/√12.
        expected = np.hypot(1.0, 12**-0.5) / np.hypot(2.0, 12**-0.5) if contrast == blurred else 1.0
        assert columns[f"ttf50_{contrast}"] == pytest.approx(expected, rel=0.05), contrast


def test_less_contrast_is_no_blur_and_noise_on_average_neither() -> None:
    hu = three_contrasts(SHARP)
    truth = truth_of_hu(hu)
    faint = values_of_hu(TaskTransfer(), (0.5 * (hu + 100.0))[None], [truth])
    assert list(faint.values()) == pytest.approx([1.0] * 3, rel=0.03)
    noise = np.random.default_rng(0).normal(0.0, 20.0, (12, *hu.shape))
    assert list(values_of_hu(TaskTransfer(), hu + noise, [truth] * 12).values()) == pytest.approx([1.0] * 3, rel=0.08)


def test_edges_lie_on_the_circles_and_point_outwards() -> None:
    for contrast, edges in find_edges(three_contrasts(SHARP), np.ones((SIZE, SIZE), bool)).items():
        row, column = PLACES[contrast]
        middle = (SIZE - 1) / 2
        offset = edges.at - np.array([[row + middle], [column + middle]])
        near = np.hypot(*offset) < 24  # the body's outline has an edge of 1000 HU
        distance = np.hypot(*offset[:, near])
        assert near.sum() > 80 and np.abs(distance - DISC).max() < 0.2, contrast
        assert ((offset[:, near] / distance) * edges.normal[:, near]).sum(0).min() > 0.97


def test_without_such_edges_it_is_nan() -> None:
    hu = np.where(three_contrasts(SHARP) < -950.0, -1000.0, 0.0)
    columns = values_of_hu(TaskTransfer(), hu[None], [truth_of_hu(hu)])
    assert np.isnan(columns["ttf50_100"]) and np.isnan(columns["ttf50_300"])
