"""Measures of image sets that stand for the test slices: denoised ones, and labels."""

from __future__ import annotations

import numpy as np

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.metrics.anatomy import anatomy
from ipv2_bench.metrics.measure import Measures, Truth, measure
from ipv2_bench.metrics.offline_features import RandomConvFeatures
from ipv2_bench.physics.intensity import Window

_TRUTH: dict[tuple, Truth] = {}
"""Truth and anatomy of the last test set: a worker measures many image sets against them."""

_EXTRACTOR: dict[tuple, RandomConvFeatures] = {}
"""The feature space of the last training set."""


def test_measures(slices: SliceSet, split: Split, window: Window, images: np.ndarray) -> Measures:
    """Measure an image set that stands for the test slices, in the feature space of the training NDCT.

    Raises
    ------
    ValueError
        When there are more or fewer images than test slices, or they are of another shape or not in [0, 1].
    """
    expected = (len(split.test), slices.size, slices.size)
    if images.shape != expected:
        raise ValueError(f"images {images.shape} for the test slices: expected {expected}, one for each")
    mm = float(np.mean(slices.pixel_mm[split.test]))
    return measure(images, test_truth(slices, split, window), window, feature_extractor(slices, split), mm)


def test_truth(slices: SliceSet, split: Split, window: Window) -> Truth | None:
    """Truth of the test slices and where what lies in them; ``None`` where it is not known."""
    if slices.truth is None:
        return None
    key = (slices.manifest, window, split.test.tobytes())
    if key not in _TRUTH:
        _TRUTH.clear()
        truth = np.array(slices.truth[split.test])
        nodules = [None] * len(truth) if slices.nodules is None else slices.nodules[split.test]
        found = [
            anatomy(t, window, float(mm), share)
            for t, mm, share in zip(truth, slices.pixel_mm[split.test], nodules, strict=True)
        ]
        _TRUTH[key] = Truth(truth, np.array(slices.low[split.test]), tuple(found))
    return _TRUTH[key]


def feature_extractor(slices: SliceSet, split: Split) -> RandomConvFeatures:
    """The offline feature space, standardised on training NDCT: a few dozen, as in the trial that chose it."""
    key = (slices.manifest, split.train.tobytes())
    if key not in _EXTRACTOR:
        _EXTRACTOR.clear()
        use = split.train[np.linspace(0, len(split.train) - 1, min(64, len(split.train))).astype(int)]
        _EXTRACTOR[key] = RandomConvFeatures(np.array(slices.normal[use]))
    return _EXTRACTOR[key]
