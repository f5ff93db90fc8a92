"""All that is measured of one set of images: features for the distances, and fidelity to the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import write_whole
from ipv2_bench.metrics.distances import frechet_distance, kernel_distance
from ipv2_bench.metrics.extractors import FeatureExtractor, pretrained
from ipv2_bench.metrics.fidelity import fidelity
from ipv2_bench.physics.intensity import Window


class Measures:
    """Measures of an image set, as they lie on disk.

    Attributes
    ----------
    features
        Name of each extractor → one [n, d] array per member of it.
    fidelity
        Per measure an array [n] of values per slice; empty where the truth is not known.
    """

    def __init__(self, features: dict[str, list[np.ndarray]], fidelity: dict[str, np.ndarray]) -> None:
        self.features, self.fidelity = features, fidelity

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        arrays = {f"features_{name}_{i}": f for name, each in self.features.items() for i, f in enumerate(each)}
        arrays |= {f"fidelity_{k}": v for k, v in self.fidelity.items()}
        write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: Path) -> Measures:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            features: dict[str, list[np.ndarray]] = {}
            for key in sorted(k for k in arrays if k.startswith("features_")):
                features.setdefault(key.removeprefix("features_").rpartition("_")[0], []).append(arrays[key])
            found = {k.removeprefix("fidelity_"): arrays[k] for k in arrays if k.startswith("fidelity_")}
        return cls(features, found)

    def means(self) -> dict[str, float]:
        """Mean of each measure of fidelity over the slices that have it."""
        return {k: float(np.nanmean(v)) for k, v in self.fidelity.items() if np.isfinite(v).any()}


def measure(images: np.ndarray, truth: np.ndarray | None, window: Window, offline: FeatureExtractor) -> Measures:
    """Measure images [n, N, N] in [0, 1] against their truth [n, N, N], where it is known.

    Features are those of ``offline`` and of every pretrained extractor whose weights are here.
    """
    columns: dict[str, np.ndarray] = {}
    if truth is not None:
        each = [fidelity(x, y, window) for x, y in zip(images, truth, strict=True)]
        columns = {k: np.array([e[k] for e in each]) for k in each[0]}
    return Measures({e.name: e(images) for e in (offline, *pretrained())}, columns)


def distances(a: Measures, b: Measures) -> dict[str, float]:
    """Distances between two image sets in every feature space that both have, means over its member networks.

    ``fid`` and ``kid_x100`` are those of the real Inception, ``clip_fid_x100`` that of the real CLIP; the columns of the
    offline space carry its name.
    """
    found: dict[str, float] = {}
    for name in a.features.keys() & b.features.keys():
        pairs = list(zip(a.features[name], b.features[name], strict=True))
        if name == "clip-vit-b-32":
            found["clip_fid_x100"] = 100.0 * _mean_frechet(pairs)
            continue
        frechet, kernel = ("fid", "kid_x100") if name == "inception" else (f"fd_{name}", f"kid_x100_{name}")
        found[frechet] = _mean_frechet(pairs)
        found[kernel] = 100.0 * float(np.mean([kernel_distance(x, y)[0] for x, y in pairs]))
    return dict(sorted(found.items()))


def _mean_frechet(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([frechet_distance(x, y) for x, y in pairs]))
