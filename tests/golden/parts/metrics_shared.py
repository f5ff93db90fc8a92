"""What measures share: anatomy of a slice, distances, and intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ipv2_bench.metrics import anatomy, edges, lung_border, uncertainty
from ipv2_bench.metrics.base import Scale
from ipv2_bench.metrics.distances import features
from ipv2_bench.metrics.distances.frechet import (
    frechet_at_infinity,
    frechet_by_size,
    frechet_distance,
    frechet_replicates,
)
from ipv2_bench.metrics.distances.further import FURTHER
from ipv2_bench.metrics.distances.kernel import kernel_distance, kernel_replicates
from ipv2_bench.metrics.uncertainty import draw_slices, interval
from tests.golden.chests import chests
from tests.golden.golden import Part, counts, summary

VERSION = "ipv2_bench.metrics.VERSION"
SCALES: dict[Scale, Callable[[np.ndarray], np.ndarray]] = {"log": lambda x: x + 5.0, "fisher": lambda x: 1.0 - 1.0 / (2.0 + x)}
"""Measures of a scale, from whole and half powers."""


def _anatomy() -> dict[str, Any]:
    """Regions and rim by sums of their pixels, distances to the lung's border, nodules."""
    numbers: dict[str, Any] = {}
    for i, truth in enumerate(chests().slice_truths()[:4]):
        numbers |= {f"{name}, slice {i}": counts(mask) for name, mask in truth.anatomy.regions.items()}
        numbers[f"rim, slice {i}"] = counts(truth.anatomy.rim)
        border = truth.anatomy.lung_border
        numbers[f"pixels near the lung's border, slice {i}"] = [len(border.pixels), border.piece.max() + 1]
        numbers[f"distances to it, slice {i}"] = [border.distance.clip(None, 0).sum(), border.distance.clip(0).sum()]
        numbers[f"normals, slice {i}"] = np.abs(border.normal).sum(1)
        nodules = truth.anatomy.nodules
        numbers |= {f"{name}, slice {i}": counts(mask) for name, mask in truth.anatomy.tissues.items()}
        for contrast, found in truth.anatomy.edges.items():
            numbers[f"edges of {contrast} HU, slice {i}"] = [found.at.shape[1], *found.at.sum(1), *np.abs(found.normal).sum(1)]
            numbers[f"profile across {contrast} HU, slice {i}"] = found.profile[::5]
        numbers[f"nodules, slice {i}"] = [len(nodules), *(x.sum() for n in nodules for x in (n.inside, n.around))]
    return numbers


def _features() -> tuple[np.ndarray, np.ndarray]:
    """Two sets of correlated features in whole numbers, so that products and sums are exact."""
    rng = np.random.default_rng(5)
    mix = rng.integers(-2, 3, (6, 6))
    return rng.integers(-9, 10, (16, 6)) @ mix, rng.integers(-9, 10, (16, 6)) @ mix + rng.integers(0, 5, 6)


def _distances() -> dict[str, Any]:
    a, b = _features()
    few, others = a[:5], b[:4]
    drawn = np.random.default_rng(3).integers(0, 4, (4, 16))
    sizes, by_size = frechet_by_size(a, b, subsets=4)
    return {
        "Fréchet": [frechet_distance(a, b), frechet_distance(few, others)],
        "kernel": kernel_distance(a, b, subsets=10, subset_size=6),
        "Fréchet, resampled": frechet_replicates(a, b, drawn),
        "kernel, resampled": kernel_replicates(a, b, drawn),
        "sizes": sizes,
        "Fréchet by size": by_size,
        "Fréchet of infinitely many": frechet_at_infinity(sizes, by_size),
        **{name: distance.of(a, b) for name, distance in FURTHER.items()},
        **{f"{name}, resampled": f.resampled(a, b, drawn) for name, f in FURTHER.items() if f.resampled is not None},
    }


def _intervals() -> dict[str, Any]:
    patients = [f"{i // 3}" for i in range(12)]
    draws, single = draw_slices(patients, 40), draw_slices(["a"] * 6, 40)
    values = np.arange(24.0).reshape(2, 12) ** 1.5
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    numbers: dict[str, Any] = {
        "draws": summary(draws.counts),
        "draws of one patient": summary(single.counts),
        "draws of other seed": summary(draw_slices(patients, 40, seed=1).counts),
        "units": [draws.units, draws.patients, single.units, single.patients],
    }
    for name, seeds, units in (("two seeds", [0, 1], None), ("one seed", [0], None), ("few units", [0, 1], 3)):
        chosen = values[seeds]
        one = interval(chosen.mean(1).tolist(), chosen @ weight.T, draws.sample, units)
        numbers[f"interval, {name}"] = [one.mean, one.low, one.high, one.over_seeds, one.over_patients]
        for scale, measure in SCALES.items():
            x = measure(chosen)
            own = interval(x.mean(1).tolist(), x @ weight.T, draws.sample, units, scale)
            numbers[f"interval, {name}, {scale}"] = [own.mean, own.low, own.high]
    return numbers


def _border(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lung_border, "LUNG_BELOW_HU", 1.001 * lung_border.LUNG_BELOW_HU)


def _bone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy, "BONE_ABOVE_HU", anatomy.BONE_ABOVE_HU + 4.0)  # the least that 8-bit slices allow


def _across(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "REACH", 1.001 * edges.REACH)


def _covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    original = features.features
    monkeypatch.setattr(features, "features", lambda x: 1.0005 * original(x))


def _level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "LEVEL", 1.001 * uncertainty.LEVEL)


def _freedom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "WELCH", 1.001 * uncertainty.WELCH)


PARTS = [
    Part(
        "metrics_anatomy",
        VERSION,
        _anatomy,
        {"border of the lung": _border, "threshold of bone": _bone, "length of profiles": _across},
        ("ipv2_bench.purification.VERSION", "ipv2_bench.physics.VERSION"),
        rtol=1e-5,
    ),
    Part("metrics_distances", VERSION, _distances, {"scale of features": _covariance}, rtol=1e-8),
    Part("metrics_intervals", VERSION, _intervals, {"level": _level, "degrees of freedom": _freedom}, rtol=1e-6),
]
