"""Distances without covariance and overlaps of neighbours, beside closed forms and the definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.distances.frechet import frechet_distance
from ipv2_bench.metrics.distances.further import FURTHER
from ipv2_bench.metrics.distances.neighbours import NEIGHBOURS

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(24, 10)), RNG.normal(size=(24, 10)) + 0.3


def of(name: str, a: np.ndarray, b: np.ndarray) -> float:
    return FURTHER[name].of(a, b)


def test_of_shifted_sets_the_sliced_distance_is_the_square_of_the_shift() -> None:
    shift = RNG.normal(size=10)
    assert of("sliced", A + shift, A) == pytest.approx(shift @ shift, rel=0.15)  # of 512 random directions
    assert of("sliced", A, A) == 0.0


def test_of_gaussians_it_is_the_frechet_distance_of_one_dimension_at_a_time() -> None:
    wide, narrow = 3.0 * RNG.normal(size=(4000, 6)), RNG.normal(size=(4000, 6))
    assert of("sliced", wide, narrow) == pytest.approx(frechet_distance(wide, narrow), rel=0.05)


def test_cmmd_is_its_definition() -> None:
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (A, B))

    def kernel(p: np.ndarray, q: np.ndarray) -> float:
        return float(np.exp(-((p - q) ** 2).sum() / (2.0 * 10.0**2)))

    n = len(x)
    others = [(i, j) for i in range(n) for j in range(n) if i != j]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in others) / len(others)
    between = sum(kernel(x[i], y[j]) for i in range(n) for j in range(n)) / n**2
    assert of("cmmd", A, B) == pytest.approx(1000.0 * (within - 2.0 * between), rel=1e-9)
    assert of("cmmd", 7.0 * A, 0.1 * B) == pytest.approx(of("cmmd", A, B))


def test_overlaps_are_their_definitions() -> None:
    def reach(x: np.ndarray, i: int) -> float:
        return sorted(float(np.linalg.norm(x[i] - z)) for z in x)[NEIGHBOURS]

    close = {(i, j): float(np.linalg.norm(a - b)) for i, a in enumerate(A) for j, b in enumerate(B)}
    of_a, of_b = ([reach(x, i) for i in range(len(x))] for x in (A, B))
    rows, columns = range(len(A)), range(len(B))
    assert of("precision", A, B) == np.mean([any(close[i, j] < of_b[j] for j in columns) for i in rows])
    assert of("recall", A, B) == np.mean([any(close[i, j] < of_a[i] for i in rows) for j in columns])
    density = np.mean([sum(close[i, j] < of_b[j] for j in columns) for i in rows]) / NEIGHBOURS
    assert of("density", A, B) == pytest.approx(density)
    assert of("coverage", A, B) == np.mean([any(close[i, j] < of_b[j] for i in rows) for j in columns])


def test_equal_sets_overlap_and_distant_ones_do_not() -> None:
    for name in ("precision", "recall", "coverage", "density"):
        assert of(name, A, A) == 1.0 and of(name, A, A + 100.0) == 0.0


@pytest.mark.parametrize("name", sorted(name for name, f in FURTHER.items() if f.resampled is not None))
def test_resampled_sets_are_sets_with_copies(name: str) -> None:
    resampled = FURTHER[name].resampled
    assert resampled is not None
    counts = RNG.integers(0, 3, (3, len(A))).astype(np.float64)
    whole = np.ones((1, len(A)))
    assert resampled(A, B, whole)[0] == pytest.approx(of(name, A, B))
    if name == "sliced":
        for value, count in zip(resampled(A, B, counts), counts.astype(int), strict=True):
            assert value == pytest.approx(of(name, np.repeat(A, count, axis=0), np.repeat(B, count, axis=0)))


@pytest.mark.parametrize("name", sorted(FURTHER))
def test_other_extractors_and_broken_features_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected the same"):
        of(name, A, B[:, :5])
    with pytest.raises(ValueError, match="NaN or infinity"):
        of(name, A, np.where(B[0, 0] == B, np.nan, B))
