"""Measurements of an image set: stored and loaded, resampled, and never of the wrong number of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.measuring import measure_test_set, measuring_of, unclipped_hu
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.metrics.base import FeatureExtractor
from ipv2_bench.metrics.catalogue import Catalogue, catalogue
from ipv2_bench.metrics.image_set import Measurements, Measuring, distance_replicates, distances
from ipv2_bench.metrics.measures.spaces.randconv import RandConv
from ipv2_bench.physics.intensity import Window

OFFLINE = Catalogue({k: m for k, m in catalogue().measures.items() if k not in ("inception", "clip")})
"""The measures that need no weights, whether this machine has weights or not."""


@pytest.fixture(scope="module")
def split(phantom: SliceSet) -> Split:
    everything = np.arange(len(phantom))
    return Split(everything[:2], everything[:0], everything[2:])


@pytest.fixture(scope="module")
def measuring(phantom: SliceSet, split: Split) -> Measuring:
    return measuring_of(phantom, split, Window(), OFFLINE, None)


@pytest.fixture(scope="module")
def of_low(phantom: SliceSet, split: Split, measuring: Measuring) -> Measurements:
    """Measurements of the uLDCT."""
    return measure_test_set(measuring, phantom, split, np.array(phantom.low[split.test]))


def test_every_column_against_the_truth_is_measured(of_low: Measurements) -> None:
    needs_truth = {name for name, column in OFFLINE.columns.items() if "truth" in column.needs}
    assert needs_truth - set(of_low.fidelity()) == {"bias_hu_airway"}  # the phantom's trachea is smaller than a large airway's
    assert of_low.n == 4 and of_low.pixel_mm == 400 / 128


def test_loaded_measurements_are_those_saved(of_low: Measurements, tmp_path: Path) -> None:
    of_low.save(tmp_path / "m.npz")
    loaded = Measurements.load(tmp_path / "m.npz", OFFLINE)
    assert loaded.fidelity() == of_low.fidelity() and loaded.pixel_mm == of_low.pixel_mm
    assert loaded.features.keys() == of_low.features.keys() == {"randconv", "efficientnet_lite0"}
    for key, own in of_low.statistics.items():
        assert loaded.statistics[key].keys() == own.keys()
        for name, values in own.items():
            np.testing.assert_array_equal(loaded.statistics[key][name], values)
    assert distances(loaded, of_low)["fd_randconv"] == pytest.approx(0.0, abs=1e-6)


def test_resampling_each_slice_once_gives_the_means(of_low: Measurements) -> None:
    replicates = of_low.fidelity_replicates(np.ones((1, of_low.n)))
    for name, value in of_low.fidelity().items():
        assert replicates[name][0] == value


def test_a_slice_taken_twice_counts_twice(of_low: Measurements, phantom: SliceSet, split: Split) -> None:
    index = split.test[[0, 0, 1]]
    repeated = Split(split.train, split.val, index)
    measuring = measuring_of(phantom, repeated, Window(), OFFLINE, None)
    twice = measure_test_set(measuring, phantom, repeated, np.array(phantom.low[index]))
    counts = np.zeros((1, of_low.n))
    counts[0, :2] = 2, 1
    replicates = of_low.fidelity_replicates(counts)
    for name, value in twice.fidelity().items():
        assert replicates[name][0] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_columns_that_some_slice_lacks_say_which_slices_have_them(
    of_low: Measurements, phantom: SliceSet, split: Split
) -> None:
    assert phantom.nodules is not None
    having = of_low.slices_with()
    assert {name.partition("_")[0] for name in having} <= {"nodule", "bias"}
    lacking = {k: dict(v) for k, v in of_low.statistics.items()}
    for spectrum in lacking["noise_texture"]:
        lacking["noise_texture"][spectrum] = lacking["noise_texture"][spectrum].copy()
        lacking["noise_texture"][spectrum][1] = np.nan
    lacks = Measurements(OFFLINE, of_low.features, lacking, of_low.pixel_mm)
    assert set(lacks.slices_with()) - set(having) == {"nps_mean_shift_per_mm"}
    assert lacks.slices_with()["nps_mean_shift_per_mm"].tolist() == [True, False, True, True]
    # A draw of that slice alone has none of them, and the others are as before.
    counts = np.eye(4)[[1, 2]]
    before, after = of_low.fidelity_replicates(counts), lacks.fidelity_replicates(counts)
    for name in before:
        np.testing.assert_array_equal(after[name][1], before[name][1])
    assert np.isnan(after["nps_mean_shift_per_mm"][0]) and after["rmse_hu"][0] == before["rmse_hu"][0]


def test_replicates_have_the_columns_of_the_distances(
    of_low: Measurements, phantom: SliceSet, split: Split, measuring: Measuring
) -> None:
    label = measure_test_set(measuring, phantom, split, np.array(phantom.normal[split.test]))
    counts = np.ones((3, of_low.n))
    replicates, values = distance_replicates(of_low, label, counts), distances(of_low, label)
    # Fewer than eight slices: nothing is extrapolated.
    overlaps = {f"{name}_efficientnet" for name in ("precision", "recall", "density", "coverage")}
    assert set(values) - set(replicates) == {"kid_x100_randconv_se", "kid_x100_efficientnet_se", *overlaps}
    assert replicates["fd_randconv"] == pytest.approx(np.full(3, values["fd_randconv"]), rel=1e-9)


def test_the_uldct_has_no_shift_of_its_own_noise(of_low: Measurements) -> None:
    columns = of_low.fidelity()
    assert columns["nps_mean_shift_per_mm"] == 0.0
    assert 0.5 < columns["edge_mtf50"] < 1.5


def test_the_uldct_the_ndct_and_the_truth_are_measured_before_clipping(
    of_low: Measurements, phantom: SliceSet, split: Split, measuring: Measuring
) -> None:
    assert phantom.truth is not None and measuring.truth is not None
    errors = phantom.low.hu(split.test) - phantom.truth.hu(split.test)
    inside = [truth.anatomy.regions["background"] for truth in measuring.truth]
    expected = np.mean([np.std(e[m], ddof=1) for e, m in zip(errors.astype(np.float64), inside, strict=True)])
    assert of_low.fidelity()["noise_hu_background"] == pytest.approx(expected, rel=1e-6)
    for stored in (phantom.low, phantom.normal, phantom.truth):
        hu = unclipped_hu(phantom, split, np.array(stored[split.test]))
        np.testing.assert_array_equal(hu, stored.hu(split.test))
    # A denoiser's output is what it is: one pixel that differs makes it one.
    output = np.array(phantom.low[split.test])
    output[-1, 60, 60] += 0.01 if output[-1, 60, 60] < 0.5 else -0.01
    assert unclipped_hu(phantom, split, output) is None
    clipped = measure_test_set(measuring, phantom, split, output).fidelity()
    assert clipped["noise_hu_background"] < 0.75 * expected and clipped["bias_hu_background"] > 0.2 * expected
    assert clipped["rmse_hu"] == pytest.approx(of_low.fidelity()["rmse_hu"], rel=1e-3)
    perfect = measure_test_set(measuring, phantom, split, np.array(phantom.truth[split.test])).fidelity()
    assert perfect["noise_hu_bone"] == perfect["bias_hu_bone"] == perfect["rmse_hu"] == 0.0
    assert perfect["edge_mtf50"] == pytest.approx(1.0, abs=1e-9)


def test_without_a_truth_only_features_are_measured(measuring: Measuring, phantom: SliceSet) -> None:
    blind = Measuring(OFFLINE, None, measuring.training)
    measurements = blind.measure(np.array(phantom.low))
    assert measurements.fidelity() == measurements.statistics == measurements.slices_with() == {}
    assert measurements.n == len(phantom)


def test_one_image_too_few_or_too_many_is_refused(measuring: Measuring, phantom: SliceSet, split: Split) -> None:
    images = np.array(phantom.low[split.test])
    for wrong in (images[:-1], np.concatenate([images, images[:1]]), images[:, :64]):
        with pytest.raises(ValueError, match="for the test slices: expected"):
            measure_test_set(measuring, phantom, split, wrong)
        with pytest.raises(ValueError, match=r"against a truth of \(4, 128, 128\): expected one image"):
            measuring.measure(wrong)
    with pytest.raises(ValueError, match=r"HU \(3, 128, 128\) of \(4, 128, 128\) images: expected the same slices"):
        measuring.measure(images, hu=phantom.low.hu(split.test[:-1]))


def test_images_that_are_all_equal_are_refused(measuring: Measuring, phantom: SliceSet, split: Split) -> None:
    images = np.repeat(phantom.low[split.test][:1], len(split.test), axis=0)
    with pytest.raises(ValueError, match="the 4 images are all equal"):
        measure_test_set(measuring, phantom, split, images)


@pytest.mark.parametrize("value", [np.nan, -0.01, 1.01])
def test_an_image_out_of_range_is_refused(
    measuring: Measuring, phantom: SliceSet, split: Split, value: float
) -> None:
    images = np.array(phantom.low[split.test])
    images[1, 5, 5] = value
    with pytest.raises(ValueError, match=r"expected finite values in \[0, 1\]"):
        measure_test_set(measuring, phantom, split, images)


def test_features_are_kept_by_the_hash_of_their_images(phantom: SliceSet, tmp_path: Path) -> None:
    images, asked = np.array(phantom.low[:4]), []

    class Counted(RandConv):
        def extractor(self, training: np.ndarray, weights: Path | None) -> FeatureExtractor:
            made = super().extractor(training, weights)

            class Extractor:
                sha256 = made.sha256

                def __call__(self, images: np.ndarray) -> list[np.ndarray]:
                    asked.append(images)
                    return made(images)

            return Extractor()

    def measured(images: np.ndarray, training: np.ndarray = images) -> list[np.ndarray]:
        measuring = Measuring(Catalogue({"counted": Counted()}), None, training, kept=tmp_path / "features")
        return measuring.measure(images).features["counted"]

    first = measured(images)
    for a, b in zip(first, measured(images.copy()), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(asked) == 1
    other = images.copy()
    other[-1, 60, 60] += 0.01 if other[-1, 60, 60] < 0.5 else -0.01
    assert not np.array_equal(measured(other)[0], first[0]) and len(asked) == 2
    measured(images, other)  # the same images in a space standardised otherwise
    assert len(asked) == 3
    for path in (tmp_path / "features").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(measured(images)[0], first[0])  # a spoiled file is made anew
    assert len(asked) == 4
