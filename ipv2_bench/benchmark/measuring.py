"""Measures of image sets that stand for the test slices: denoised ones, and labels."""

from __future__ import annotations

import numpy as np

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.metrics.measure import Measures, measure
from ipv2_bench.metrics.offline_features import RandomConvFeatures
from ipv2_bench.physics.intensity import Window


def test_measures(slices: SliceSet, split: Split, window: Window, images: np.ndarray) -> Measures:
    """Measure an image set that stands for the test slices, in the feature space of the training NDCT."""
    truth = None if slices.truth is None else np.array(slices.truth[split.test])
    return measure(images, truth, window, feature_extractor(slices, split))


def feature_extractor(slices: SliceSet, split: Split) -> RandomConvFeatures:
    """The offline feature space, standardised on training NDCT: a few dozen, as in the trial that chose it."""
    use = split.train[np.linspace(0, len(split.train) - 1, min(64, len(split.train))).astype(int)]
    return RandomConvFeatures(np.array(slices.normal[use]))
