"""All that is measured of one set of images: features for the distances, and fidelity to the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import write_whole
from ipv2_bench.metrics.distances import frechet_distance, kernel_distance
from ipv2_bench.metrics.fidelity import fidelity
from ipv2_bench.metrics.offline_features import NAME, RandomConvFeatures
from ipv2_bench.physics.intensity import Window


class Measures:
    """Measures of an image set, as they lie on disk.

    Attributes
    ----------
    features
        One [n, d] array per member of the extractor.
    fidelity
        Per measure an array [n] of values per slice; empty where the truth is not known.
    """

    def __init__(self, features: list[np.ndarray], fidelity: dict[str, np.ndarray]) -> None:
        self.features, self.fidelity = features, fidelity

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        arrays = {f"features_{i}": f for i, f in enumerate(self.features)}
        arrays |= {f"fidelity_{k}": v for k, v in self.fidelity.items()}
        write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: Path) -> Measures:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            features = [arrays[k] for k in sorted(arrays) if k.startswith("features_")]
            found = {k.removeprefix("fidelity_"): arrays[k] for k in arrays if k.startswith("fidelity_")}
        return cls(features, found)

    def means(self) -> dict[str, float]:
        """Mean of each measure of fidelity over the slices that have it."""
        return {k: float(np.nanmean(v)) for k, v in self.fidelity.items() if np.isfinite(v).any()}


def measure(images: np.ndarray, truth: np.ndarray | None, window: Window, extractor: RandomConvFeatures) -> Measures:
    """Measure images [n, N, N] in [0, 1] against their truth [n, N, N], where it is known."""
    columns: dict[str, np.ndarray] = {}
    if truth is not None:
        each = [fidelity(x, y, window) for x, y in zip(images, truth, strict=True)]
        columns = {k: np.array([e[k] for e in each]) for k in each[0]}
    return Measures(extractor(images), columns)


def distances(a: Measures, b: Measures) -> dict[str, float]:
    """Distances between two image sets in the offline feature space, means over its member networks.

    The keys carry the extractor's name: ``fd_randconv`` and ``kid_x100_randconv``.
    """
    pairs = list(zip(a.features, b.features, strict=True))
    return {
        f"fd_{NAME}": float(np.mean([frechet_distance(x, y) for x, y in pairs])),
        f"kid_x100_{NAME}": 100.0 * float(np.mean([kernel_distance(x, y)[0] for x, y in pairs])),
    }
