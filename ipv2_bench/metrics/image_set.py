"""All that is measured of one set of images: features for the distances, and fidelity to the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import write_whole
from ipv2_bench.metrics.anatomy import Anatomy
from ipv2_bench.metrics.distances import (
    frechet_at_infinity,
    frechet_by_size,
    frechet_distance,
    frechet_replicates,
    kernel_distance,
    kernel_replicates,
)
from ipv2_bench.metrics.extractors import FeatureExtractor, pretrained
from ipv2_bench.metrics.fidelity import curves, fidelity, from_curves, noise_power
from ipv2_bench.physics.intensity import Window

NPS_MEASURES = ("nps_peak_per_mm", "nps_mean_per_mm", "nps_peak_shift_per_mm", "nps_mean_shift_per_mm")
SUMMED = ("edge", "edge_truth", "edge_count")
"""Curves of which slices give sums; of the others they give means."""


@dataclass(frozen=True)
class Truth:
    """The aligned truth of an image set, and what is needed to measure against it.

    Attributes
    ----------
    images
        [n, N, N] in [0, 1].
    low
        The uLDCT, like it.
    anatomy
        Of each slice.
    """

    images: np.ndarray
    low: np.ndarray
    anatomy: tuple[Anatomy, ...]


@dataclass(frozen=True)
class Measures:
    """Measures of an image set, as they lie on disk.

    Attributes
    ----------
    features
        Name of each extractor → one [n, d] array per member of it.
    fidelity
        Per measure an array [n] of values per slice; empty where the truth is not known.
    curves
        Per curve an array [n, k]; see :func:`ipv2_bench.metrics.fidelity.curves`.
    pixel_mm
        Mean side of a pixel.
    """

    features: dict[str, list[np.ndarray]]
    fidelity: dict[str, np.ndarray] = field(default_factory=dict)
    curves: dict[str, np.ndarray] = field(default_factory=dict)
    pixel_mm: float = 1.0

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        arrays = {f"features_{name}_{i}": f for name, each in self.features.items() for i, f in enumerate(each)}
        arrays |= {f"fidelity_{k}": v for k, v in self.fidelity.items()}
        arrays |= {f"curves_{k}": v for k, v in self.curves.items()} | {"pixel_mm": np.array(self.pixel_mm)}
        write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: Path) -> Measures:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            features: dict[str, list[np.ndarray]] = {}
            for key in sorted(k for k in arrays if k.startswith("features_")):
                features.setdefault(key.removeprefix("features_").rpartition("_")[0], []).append(arrays[key])
            found, lines = (
                {k.removeprefix(group): arrays[k] for k in arrays if k.startswith(group)}
                for group in ("fidelity_", "curves_")
            )
            return cls(features, found, lines, float(arrays["pixel_mm"]))

    def means(self) -> dict[str, float]:
        """Each measure of fidelity over the slices that have it; only those that some slice has."""
        if not self.fidelity:
            return {}
        found = {k: float(v[0]) for k, v in self.replicates(np.ones((1, self.n))).items()}
        return {k: v for k, v in found.items() if np.isfinite(v)}

    def replicates(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Measures of fidelity when each slice is taken ``counts`` [B, n] times; [B] each, NaN where none has it."""
        if not self.fidelity:
            return {}
        found = {k: _mean(v, counts) for k, v in self.fidelity.items()}
        summed = {
            k: counts @ v if k in SUMMED else np.stack([_mean(column, counts) for column in v.T], axis=1)
            for k, v in self.curves.items()
        }
        each = [from_curves({k: v[b] for k, v in summed.items()}, self.pixel_mm) for b in range(len(counts))]
        return found | {k: np.array([e[k] for e in each]) for k in each[0]}

    def shown(self) -> dict[str, np.ndarray]:
        """For each measure of fidelity that some slice lacks, which have it, [n]."""
        found = {k: np.isfinite(v) for k, v in self.fidelity.items() if not np.isfinite(v).all()}
        lung = np.isfinite(self.curves["nps"]).all(1) if "nps" in self.curves else np.ones(self.n, bool)
        return found | ({} if lung.all() else dict.fromkeys(NPS_MEASURES, lung))

    @property
    def n(self) -> int:
        """Number of images."""
        return len(next(iter(self.features.values()))[0])


def _mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weighted means [B] of values [n] where they are numbers."""
    has = np.isfinite(values)
    number = counts @ has.astype(np.float64)
    return np.divide(counts @ np.where(has, values, 0.0), number, out=np.full(len(counts), np.nan), where=number > 0)


def measure(
    images: np.ndarray, truth: Truth | None, window: Window, offline: FeatureExtractor, pixel_mm: float = 1.0
) -> Measures:
    """Measure images [n, N, N] in [0, 1] against their truth, where it is known.

    Features are those of ``offline`` and of every pretrained extractor whose weights are here.

    Raises
    ------
    ValueError
        When images and truth differ in number or shape, or all images are equal.
    """
    if len(images) > 1 and (images == images[:1]).all():
        raise ValueError(
            f"the {len(images)} images are all equal: expected one for each slice; has the denoiser collapsed?"
        )
    columns: dict[str, np.ndarray] = {}
    lines: dict[str, np.ndarray] = {}
    if truth is not None:
        if images.shape != truth.images.shape:
            raise ValueError(
                f"{images.shape} images against a truth of {truth.images.shape}: expected one image for each test slice"
            )
        each = [fidelity(x, y, window, where) for x, y, where in zip(images, truth.images, truth.anatomy, strict=True)]
        columns = {k: np.array([e[k] for e in each]) for k in each[0]}
        drawn = [curves(x, y, window, where) for x, y, where in zip(images, truth.images, truth.anatomy, strict=True)]
        lines = {k: np.stack([d[k] for d in drawn]) for k in drawn[0]}
        error = (truth.low - truth.images).astype(np.float64) * window.width
        lines["nps_low"] = np.stack(
            [noise_power(e, where.regions["lung"]) for e, where in zip(error, truth.anatomy, strict=True)]
        )
    return Measures({e.name: e(images) for e in (offline, *pretrained())}, columns, lines, pixel_mm)


def distances(a: Measures, b: Measures) -> dict[str, float]:
    """Distances between two image sets in every feature space that both have, means over its member networks.

    ``fid`` and ``kid_x100`` are those of the real Inception, ``clip_fid_x100`` that of the real CLIP; the columns of the
    offline space carry its name. ``*_inf_*`` is the Fréchet distance extrapolated to infinitely many images, where there
    are at least 8, and ``*_se`` the standard error of a kernel distance over its subsets.
    """
    found: dict[str, float] = {}
    for name, pairs in _pairs(a, b):
        columns = _columns(name)
        found[columns.frechet] = columns.scale * float(np.mean([frechet_distance(x, y) for x, y in pairs]))
        if a.n == b.n >= 8:
            ends = [frechet_at_infinity(*frechet_by_size(x, y)) for x, y in pairs]
            found[columns.infinite] = columns.scale * float(np.mean(ends))
        if columns.kernel:
            each = [kernel_distance(x, y) for x, y in pairs]
            found[columns.kernel] = 100.0 * float(np.mean([e[0] for e in each]))
            found[f"{columns.kernel}_se"] = 100.0 * float(np.sqrt(np.sum([e[1] ** 2 for e in each]))) / len(each)
    return dict(sorted(found.items()))


def distance_replicates(a: Measures, b: Measures, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Like :func:`distances`, when each slice is taken ``counts`` [B, n] times in both sets; [B] each."""
    found: dict[str, np.ndarray] = {}
    for name, pairs in _pairs(a, b):
        columns = _columns(name)
        drawn = np.mean([frechet_replicates(x, y, counts) for x, y in pairs], axis=0)
        found[columns.frechet] = columns.scale * drawn
        if columns.kernel:
            found[columns.kernel] = 100.0 * np.mean([kernel_replicates(x, y, counts) for x, y in pairs], axis=0)
    return found


def _pairs(a: Measures, b: Measures) -> list[tuple[str, list[tuple[np.ndarray, np.ndarray]]]]:
    common = sorted(a.features.keys() & b.features.keys())
    return [(name, list(zip(a.features[name], b.features[name], strict=True))) for name in common]


@dataclass(frozen=True)
class _Columns:
    """Columns of an extractor's Fréchet distance, of its extrapolation and of its kernel distance (may be empty)."""

    frechet: str
    infinite: str
    kernel: str
    scale: float = 1.0


_PRETRAINED = {
    "inception": _Columns("fid", "fid_inf", "kid_x100"),
    "clip-vit-b-32": _Columns("clip_fid_x100", "clip_fid_inf_x100", "", 100.0),
}


def _columns(name: str) -> _Columns:
    return _PRETRAINED.get(name) or _Columns(f"fd_{name}", f"fd_inf_{name}", f"kid_x100_{name}")
