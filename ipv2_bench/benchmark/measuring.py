"""What measures image sets that stand for the test slices: denoised ones, and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ipv2_bench import metrics, physics, purification
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.fingerprint import digest, version_of
from ipv2_bench.metrics.base import FeatureSpace, SliceTruth
from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.physics.intensity import Window

if TYPE_CHECKING:
    from ipv2_bench.metrics.image_set import Measurements, Measuring

STANDARDISED_ON = 64
"""Training NDCT on which the offline feature space is standardised."""


def measuring_of(
    slices: SliceSet, split: Split, window: Window, catalogue: Catalogue, weights: Path | None
) -> Measuring:
    """What measures against the truth of the test slices, in the feature spaces of the training NDCT."""
    from ipv2_bench.metrics.image_set import Measuring

    use = split.train[np.linspace(0, len(split.train) - 1, min(STANDARDISED_ON, len(split.train))).astype(int)]
    kept = slices.folder / "features"
    return Measuring(catalogue, _truth(slices, split, window), np.array(slices.normal[use]), weights, kept)


def _truth(slices: SliceSet, split: Split, window: Window) -> list[SliceTruth] | None:
    """Truth and anatomy of the test slices; ``None`` where it is unknown."""
    if slices.truth is None:
        return None
    from ipv2_bench.metrics.anatomy import anatomy

    truths = []
    for i in split.test:
        hu, mm = slices.truth.hu(i), float(slices.pixel_mm[i])
        nodules = None if slices.nodules is None else slices.nodules[i]
        truths.append(SliceTruth(hu, slices.low.hu(i), anatomy(hu, window, mm, nodules), window, mm))
    return truths


def measure_test_set(
    measuring: Measuring, slices: SliceSet, split: Split, images: np.ndarray
) -> Measurements:
    """Measure images that stand for the test slices.

    Where they are the stored uLDCT, NDCT or truth, what is measured against the truth is measured on their HU before clipping.

    Parameters
    ----------
    measuring
        The measures and the truth.
    slices, split
        The data.
    images
        One image for each test slice, [n, N, N] in [0, 1].

    Raises
    ------
    ValueError
        When there are more or fewer images than test slices, or they are of another shape or not in [0, 1].
    """
    expected = (len(split.test), slices.size, slices.size)
    if images.shape != expected:
        raise ValueError(f"images {images.shape} for the test slices: expected {expected}, one for each")
    hu = unclipped_hu(slices, split, images)
    return measuring.measure(images, float(np.mean(slices.pixel_mm[split.test])), hu)


def unclipped_hu(slices: SliceSet, split: Split, images: np.ndarray) -> np.ndarray | None:
    """HU without clipping of images [n, N, N] that are the test slices' uLDCT, NDCT or truth; ``None`` for any others.

    A denoiser that returns the uLDCT unchanged is measured as the uLDCT is.
    """
    for stored in (slices.low, slices.normal, slices.truth):
        if stored is not None and all(np.array_equal(x, stored[i]) for x, i in zip(images, split.test, strict=True)):
            return stored.hu(split.test)
    return None


def measuring_version(catalogue: Catalogue, weights: Path | None) -> str:
    """Hash that names measurements: versions of the measures and of what they share, and the extractors that are present."""
    spaces = {k: m.sha256(weights) for k, m in catalogue.measures.items() if isinstance(m, FeatureSpace)}
    absent = {k for k, sha in spaces.items() if sha is None and cast(FeatureSpace, catalogue.measures[k]).optional}
    return digest(
        {
            "measures": {k: version_of(type(m)) for k, m in catalogue.measures.items() if k not in absent},
            "shared": {"metrics": metrics.VERSION, "purification": purification.VERSION, "physics": physics.VERSION},
            "weights": {k: sha for k, sha in spaces.items() if sha is not None},
        }
    )
