"""Measurements of a set of images: features for the distances, and statistics against the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ipv2_bench import metrics
from ipv2_bench.files import write_whole
from ipv2_bench.fingerprint import digest, version_of
from ipv2_bench.metrics.base import FeatureExtractor, FeatureSpace, SliceTruth, TruthMeasure
from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.metrics.distances.frechet import (
    frechet_at_infinity,
    frechet_by_size,
    frechet_distance,
    frechet_replicates,
)
from ipv2_bench.metrics.distances.further import FURTHER
from ipv2_bench.metrics.distances.kernel import kernel_distance, kernel_replicates
from ipv2_bench.stored import present

LEAST_FOR_INFINITY = 8
"""Smallest number of images from which a distance is extrapolated to infinitely many."""


@dataclass(frozen=True)
class Measurements:
    """Measurements of an image set.

    Attributes
    ----------
    catalogue
        The measures, which compute columns from statistics.
    features
        Key of each feature space → one [n, d] array per member network.
    statistics
        Key of each measure against the truth → name → values of the slices, [n] or [n, k]; empty where the truth is
        unknown.
    pixel_mm
        Mean side of a pixel in mm.
    """

    catalogue: Catalogue
    features: dict[str, list[np.ndarray]]
    statistics: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    pixel_mm: float = 1.0

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        arrays = {f"features/{key}/{i}": f for key, each in self.features.items() for i, f in enumerate(each)}
        arrays |= {f"statistics/{key}/{k}": v for key, own in self.statistics.items() for k, v in own.items()}
        arrays |= {"pixel_mm": np.array(self.pixel_mm)}
        write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: Path, catalogue: Catalogue) -> Measurements:
        """Measurements from a file of :meth:`save`."""
        features: dict[str, list[np.ndarray]] = {}
        statistics: dict[str, dict[str, np.ndarray]] = {}
        with np.load(path, allow_pickle=False) as arrays:
            for name in sorted(arrays.files):
                kind, _, rest = name.partition("/")
                key, _, last = rest.rpartition("/")
                if kind == "features":
                    features.setdefault(key, []).append(arrays[name])
                elif kind == "statistics":
                    statistics.setdefault(key, {})[last] = arrays[name]
            return cls(catalogue, features, statistics, float(arrays["pixel_mm"]))

    @property
    def n(self) -> int:
        """Number of images."""
        if self.features:
            return len(next(iter(self.features.values()))[0])
        return len(next(iter(next(iter(self.statistics.values())).values())))

    def fidelity(self) -> dict[str, float]:
        """Columns against the truth over the slices that have them; only those that some slice has."""
        values = {k: float(v[0]) for k, v in self.fidelity_replicates(np.ones((1, self.n))).items()}
        return {k: v for k, v in values.items() if np.isfinite(v)}

    def fidelity_replicates(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Columns against the truth when each slice is taken ``counts`` [B, n] times; [B] each, NaN where no slice has them."""
        replicates: dict[str, np.ndarray] = {}
        for key, own in self.statistics.items():
            measure = self._truth_measure(key)
            totals = {k: counts @ np.nan_to_num(v) if k in measure.summed else _mean(v, counts) for k, v in own.items()}
            if type(measure).combine is TruthMeasure.combine:  # statistics that are columns need no loop
                replicates |= totals
                continue
            each = [measure.combine({k: v[b] for k, v in totals.items()}, self.pixel_mm) for b in range(len(counts))]
            replicates |= {column: np.array([e[column] for e in each]) for column in each[0]}
        return replicates

    def slices_with(self) -> dict[str, np.ndarray]:
        """Which slices have a column against the truth, boolean [n], for each column that some slice lacks."""
        having: dict[str, np.ndarray] = {}
        for key, own in self.statistics.items():
            measure = self._truth_measure(key)
            finite = {k: np.isfinite(v).reshape(self.n, -1).all(1) for k, v in own.items()}
            for column in measure.columns:
                has = finite[column.name] if column.name in finite else np.all(list(finite.values()), axis=0)
                if not has.all():
                    having[column.name] = has
        return having

    def _truth_measure(self, key: str) -> TruthMeasure:
        """The measure against the truth with a key."""
        measure = self.catalogue.measures[key]
        assert isinstance(measure, TruthMeasure)
        return measure


def _mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means [B, …] of values [n, …], weighted by counts [B, n]; NaN is left out."""
    flat = values.reshape(len(values), -1)
    has = np.isfinite(flat)
    number = counts @ has.astype(np.float64)
    total = counts @ np.where(has, flat, 0.0)
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return mean.reshape(len(counts), *values.shape[1:])


@dataclass
class Measuring:
    """Measures image sets against one truth, in the feature spaces of one training set.

    Attributes
    ----------
    catalogue
        The measures.
    truth
        Truth of each image; ``None`` where it is unknown.
    training
        Some NDCT of the training set, [m, N, N] in [0, 1], on which the offline feature space is standardised.
    weights
        The user's folder with weights of extractors; ``None`` without one.
    kept
        Folder in which features are kept by the hash of their images, so that a measure that changes or is added does not cost
        them again; ``None`` to keep none.
    """

    catalogue: Catalogue
    truth: Sequence[SliceTruth] | None
    training: np.ndarray
    weights: Path | None = None
    kept: Path | None = None

    @cached_property
    def extractors(self) -> dict[str, FeatureExtractor]:
        """Extractors of the feature spaces whose weights are present and verified, by key."""
        spaces = {k: m for k, m in self.catalogue.measures.items() if isinstance(m, FeatureSpace)}
        present = {k: space for k, space in spaces.items() if space.sha256(self.weights) is not None}
        return {k: space.extractor(self.training, self.weights) for k, space in present.items()}

    def measure(self, images: np.ndarray, pixel_mm: float = 1.0, hu: np.ndarray | None = None) -> Measurements:
        """Measurements of an image set.

        Parameters
        ----------
        images
            [n, N, N] in [0, 1] of the HU window, for the features.
        pixel_mm
            Mean side of a pixel in mm.
        hu
            The same images in HU without clipping, for what is measured against the truth, where that is known: of the uLDCT, the
            NDCT and the truth. ``None`` for images that are inside of the window, such as a denoiser's output.

        Raises
        ------
        ValueError
            When images, their HU and the truth differ in number or shape, or all images are equal.
        """
        if len(images) > 1 and (images == images[:1]).all():
            raise ValueError(
                f"the {len(images)} images are all equal: expected one for each slice; has the denoiser collapsed?"
            )
        statistics: dict[str, dict[str, np.ndarray]] = {}
        if self.truth is not None:
            shape = (len(self.truth), *self.truth[0].hu.shape)
            if images.shape != shape:
                raise ValueError(f"{images.shape} images against a truth of {shape}: expected one image for each test slice")
            if hu is not None and hu.shape != shape:
                raise ValueError(f"HU {hu.shape} of {images.shape} images: expected the same slices in both")
            in_hu = self.truth[0].window.hu(images) if hu is None else hu
            for key, measure in self.catalogue.measures.items():
                if isinstance(measure, TruthMeasure):
                    each = [measure.of_slice(x, truth) for x, truth in zip(in_hu, self.truth, strict=True)]
                    statistics[key] = {k: np.stack([np.asarray(e[k], dtype=np.float64) for e in each]) for k in each[0]}
        return Measurements(self.catalogue, self._features(images), statistics, pixel_mm)

    def _features(self, images: np.ndarray) -> dict[str, list[np.ndarray]]:
        """Features of images in every space, [n, d] of each member network."""
        if self.kept is None:
            return {key: extract(images) for key, extract in self.extractors.items()}
        of_images = [images.shape, images.dtype.str, hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()]
        features = {}
        for key, extract in self.extractors.items():
            of_space = [version_of(type(self.catalogue.measures[key])), extract.sha256, metrics.VERSION]
            features[key] = _kept_or_made(self.kept / f"{digest([*of_space, *of_images])}.npz", extract, images)
        return features


def _kept_or_made(path: Path, extract: FeatureExtractor, images: np.ndarray) -> list[np.ndarray]:
    """Features of each member network, read from a file where it is there, or made and written to it."""
    if not present(path):
        members = {str(i): member for i, member in enumerate(extract(images))}
        write_whole(path, lambda file: np.savez(file, allow_pickle=False, **members))
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[str(i)] for i in range(len(arrays.files))]


def distances(a: Measurements, b: Measurements) -> dict[str, float]:
    """Distances between two image sets in every feature space that both have, means over its member networks.

    From 8 images on, the Fréchet distance extrapolated to infinitely many images is among them; ``*_se`` is the standard
    error of a kernel distance over its subsets.
    """
    values: dict[str, float] = {}
    for space, pairs in _common_spaces(a, b):
        values[space.frechet] = space.scale * float(np.mean([frechet_distance(x, y) for x, y in pairs]))
        if a.n == b.n >= LEAST_FOR_INFINITY:
            limits = [frechet_at_infinity(*frechet_by_size(x, y)) for x, y in pairs]
            values[space.at_infinity] = space.scale * float(np.mean(limits))
        if space.kernel is not None:
            each = [kernel_distance(x, y) for x, y in pairs]
            values[space.kernel] = 100.0 * float(np.mean([e[0] for e in each]))
            values[f"{space.kernel}_se"] = 100.0 * float(np.sqrt(np.sum([e[1] ** 2 for e in each]))) / len(each)
        for name, column in space.further.items():
            values[column] = float(np.mean([FURTHER[name].of(x, y) for x, y in pairs]))
    return dict(sorted(values.items()))


def distance_replicates(a: Measurements, b: Measurements, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Distances when each slice is taken ``counts`` [B, n] times in both sets, [B] each; columns as of :func:`distances`.

    Extrapolated distances, standard errors, and what copies of a slice would change are not among them.
    """
    replicates: dict[str, np.ndarray] = {}
    for space, pairs in _common_spaces(a, b):
        drawn = np.mean([frechet_replicates(x, y, counts) for x, y in pairs], axis=0)
        replicates[space.frechet] = space.scale * drawn
        if space.kernel is not None:
            replicates[space.kernel] = 100.0 * np.mean([kernel_replicates(x, y, counts) for x, y in pairs], axis=0)
        for name, column in space.further.items():
            resampled = FURTHER[name].resampled
            if resampled is not None:
                replicates[column] = np.mean([resampled(x, y, counts) for x, y in pairs], axis=0)
    return replicates


def _common_spaces(
    a: Measurements, b: Measurements
) -> list[tuple[FeatureSpace, list[tuple[np.ndarray, np.ndarray]]]]:
    """Feature spaces that both sets have, each with the features of both for every member network."""
    pairs = []
    for key in sorted(a.features.keys() & b.features.keys()):
        space = a.catalogue.measures[key]
        assert isinstance(space, FeatureSpace)
        pairs.append((space, list(zip(a.features[key], b.features[key], strict=True))))
    return pairs
