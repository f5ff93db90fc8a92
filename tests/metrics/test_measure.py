"""All measures of an image set: written and read, resampled, and never of the wrong number of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.measuring import test_measures as measures_of
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.metrics.measure import Measures, distance_replicates, distances
from ipv2_bench.physics.intensity import Window

WINDOW = Window()


@pytest.fixture(scope="module")
def split(phantom: SliceSet) -> Split:
    everything = np.arange(len(phantom))
    return Split(everything[:2], everything[:0], everything[2:])


@pytest.fixture(scope="module")
def measured(phantom: SliceSet, split: Split) -> Measures:
    return measures_of(phantom, split, WINDOW, np.array(phantom.low[split.test]))


def test_measures_come_back_from_disk(measured: Measures, tmp_path: Path) -> None:
    measured.save(tmp_path / "m.npz")
    again = Measures.load(tmp_path / "m.npz")
    assert again.means() == measured.means() and again.pixel_mm == measured.pixel_mm
    assert again.features.keys() == measured.features.keys() == {"randconv"}
    assert distances(again, measured)["fd_randconv"] == pytest.approx(0.0, abs=1e-6)


def test_resampling_each_slice_once_gives_the_means(measured: Measures) -> None:
    found = measured.replicates(np.ones((1, measured.n)))
    for name, value in measured.means().items():
        assert found[name][0] == value


def test_a_slice_taken_twice_counts_twice(measured: Measures, phantom: SliceSet, split: Split) -> None:
    index = split.test[[0, 0, 1]]
    twice = measures_of(phantom, Split(split.train, split.val, index), WINDOW, np.array(phantom.low[index]))
    counts = np.zeros((1, measured.n))
    counts[0, :2] = 2, 1
    found = measured.replicates(counts)
    for name, value in twice.means().items():
        assert found[name][0] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_replicates_have_the_columns_of_the_distances(measured: Measures, phantom: SliceSet, split: Split) -> None:
    label = measures_of(phantom, split, WINDOW, np.array(phantom.normal[split.test]))
    counts = np.ones((3, measured.n))
    again, found = distance_replicates(measured, label, counts), distances(measured, label)
    assert set(found) - set(again) == {"kid_x100_randconv_se"}  # fewer than eight slices: nothing is extrapolated
    assert again["fd_randconv"] == pytest.approx(np.full(3, found["fd_randconv"]), rel=1e-9)


def test_the_uldct_has_no_shift_of_its_own_noise(measured: Measures) -> None:
    means = measured.means()
    assert means["nps_peak_shift_per_mm"] == means["nps_mean_shift_per_mm"] == 0.0
    assert 0.5 < means["edge_mtf50"] < 1.5


def test_one_image_too_few_or_too_many_is_refused(phantom: SliceSet, split: Split) -> None:
    images = np.array(phantom.low[split.test])
    for wrong in (images[:-1], np.concatenate([images, images[:1]]), images[:, :64]):
        with pytest.raises(ValueError, match="for the test slices: expected"):
            measures_of(phantom, split, WINDOW, wrong)


def test_images_that_are_all_equal_are_refused(phantom: SliceSet, split: Split) -> None:
    images = np.repeat(phantom.low[split.test][:1], len(split.test), axis=0)
    with pytest.raises(ValueError, match="the 4 images are all equal"):
        measures_of(phantom, split, WINDOW, images)


@pytest.mark.parametrize("value", [np.nan, -0.01, 1.01])
def test_an_image_out_of_range_is_refused(phantom: SliceSet, split: Split, value: float) -> None:
    images = np.array(phantom.low[split.test])
    images[1, 5, 5] = value
    with pytest.raises(ValueError, match=r"expected finite values in \[0, 1\]"):
        measures_of(phantom, split, WINDOW, images)
