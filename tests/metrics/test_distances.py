"""Fréchet and kernel distances against clean-fid, definitions and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg

from ipv2_bench.metrics.distances.frechet import (
    frechet_at_infinity,
    frechet_by_size,
    frechet_distance,
    frechet_replicates,
)
from ipv2_bench.metrics.distances.kernel import kernel_distance, kernel_replicates


def features(n: int, d: int, seed: int) -> np.ndarray:
    """Correlated, not centred, not Gaussian."""
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / d**0.5 + rng.normal(size=d), 0)


def with_moments(n: int, mean: np.ndarray, factor: np.ndarray, seed: int) -> np.ndarray:
    """[n, d] whose mean is ``mean`` and whose unbiased covariance is ``factor·factorᵀ``, both exactly."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, factor.shape[1]))]))[0][:, 1:]
    return mean + np.sqrt(n - 1) * basis @ factor.T


def definition(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance by covariances and a matrix root."""
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with fewer images than features it is singular
        root = scipy.linalg.sqrtm(s @ t)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t) - 2 * np.trace(root).real)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 24), (60, 500, 24), (26, 25, 24)])
def test_frechet_is_clean_fids(n: int, m: int, d: int) -> None:
    from cleanfid.fid import frechet_distance as theirs

    a, b = features(n, d, 0), 1.3 * features(m, d, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert expected > 1


@pytest.mark.parametrize("n", [12, 200])
def test_frechet_of_diagonal_gaussians(n: int) -> None:
    mean_a, mean_b, std_a, std_b = np.random.default_rng(0).uniform(0.5, 2.0, (4, 8))
    a, b = with_moments(n, mean_a, np.diag(std_a), 1), with_moments(n + 5, mean_b, np.diag(std_b), 2)
    expected = ((mean_a - mean_b) ** 2 + (std_a - std_b) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_frechet_of_covariances_that_do_not_commute() -> None:
    factor_a, factor_b = np.array([[2.0, 0.0], [1.5, 0.5]]), np.array([[1.0, 0.7], [0.0, 1.0]])
    s, t = factor_a @ factor_a.T, factor_b @ factor_b.T
    a, b = with_moments(40, np.zeros(2), factor_a, 0), with_moments(30, np.ones(2), factor_b, 1)
    # For 2 × 2 matrices the trace of a root is √(tr M + 2·√det M).
    root = np.sqrt(np.trace(s @ t) + 2 * np.sqrt(np.linalg.det(s @ t)))
    assert frechet_distance(a, b) == pytest.approx(2 + np.trace(s + t) - 2 * root, rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(20, 25), (20, 200), (2, 3)])
def test_frechet_with_fewer_images_than_features_is_the_definition(n: int, m: int) -> None:
    a, b = features(n, 40, 2), features(m, 40, 3) + 0.1
    assert frechet_distance(a, b) == pytest.approx(definition(a, b), rel=1e-4)


def test_frechet_of_features_that_share_no_direction() -> None:
    mean, far = np.zeros(30), np.zeros(30)
    far[-1] = 3.0
    up, down = np.zeros((30, 4)), np.zeros((30, 4))
    up[:4], down[10:14] = np.eye(4), 2 * np.eye(4)
    distance = frechet_distance(with_moments(10, mean, up, 0), with_moments(11, far, down, 1))
    assert distance == pytest.approx(9 + 4 + 16, rel=1e-10)


@pytest.mark.parametrize("n", [20, 300])
def test_frechet_of_equal_sets_is_zero(n: int) -> None:
    a = features(n, 40, 4)
    assert abs(frechet_distance(a, a)) < 1e-6
    assert abs(frechet_distance(a, np.random.default_rng(0).permutation(a))) < 1e-6


def test_frechet_is_symmetric_and_invariant_under_rotation_and_shift() -> None:
    a, b = features(30, 12, 5), features(50, 12, 6)
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(12, 12)))[0]
    distance = frechet_distance(a, b)
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(a @ turn + 5, b @ turn + 5) == pytest.approx(distance, rel=1e-9)


def test_kid_is_the_double_loop_over_the_same_subsets() -> None:
    a, b = features(17, 5, 8), features(13, 5, 9) + 0.3
    subsets, size = 4, 6

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / 5 + 1.0) ** 3

    rng = np.random.default_rng(3)
    values = []
    for _ in range(subsets):
        x, y = a[rng.choice(17, size, replace=False)], b[rng.choice(13, size, replace=False)]
        value = 0.0
        for i in range(size):
            for j in range(size):
                if i != j:
                    value += (kernel(x[i], x[j]) + kernel(y[i], y[j])) / (size * (size - 1))
                value -= 2 * kernel(x[i], y[j]) / size**2
        values.append(value)
    distance, error = kernel_distance(a, b, seed=3, subsets=subsets, subset_size=size)
    assert distance == pytest.approx(np.mean(values), rel=1e-10)
    assert error == pytest.approx(np.std(values, ddof=1) / 2, rel=1e-10)


def test_kid_is_clean_fids_where_nothing_is_random() -> None:
    from cleanfid.fid import kernel_distance as theirs

    a, b = features(40, 6, 10), features(40, 6, 11)
    np.random.seed(0)  # noqa: NPY002  clean-fid draws from NumPy's global state
    expected = theirs(a, b, num_subsets=300, max_subset_size=20)
    distance, error = kernel_distance(a, b, subsets=300, subset_size=20)
    assert abs(distance - expected) < 5 * error


def test_kid_of_the_same_subset_is_clean_fids() -> None:
    from cleanfid.fid import kernel_distance as theirs

    a, b = features(40, 6, 10), features(40, 6, 11)
    # A subset as large as the set is the set, whatever is drawn.
    expected = theirs(a, b, num_subsets=3, max_subset_size=40)
    assert kernel_replicates(a, b, np.ones((1, 40)))[0] == pytest.approx(expected, rel=1e-6)


def test_kid_of_one_distribution_is_near_zero_and_of_two_is_not() -> None:
    draw = np.random.default_rng(0).normal(size=(2, 400, 6))
    same, error = kernel_distance(*draw)
    other, _ = kernel_distance(draw[0], draw[1] + 1)
    assert abs(same) < 0.05 * other and error > 0


def test_kid_subsets_differ_and_depend_on_the_seed_alone() -> None:
    a, b = features(30, 4, 12), features(30, 4, 13)
    assert kernel_distance(a, b) == kernel_distance(a, b) != kernel_distance(a, b, seed=1)
    # Never more than half of a set, or every subset would be the set.
    assert kernel_distance(a, b, subset_size=1000)[1] > 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_unusable_features_are_refused(distance: object) -> None:
    good = features(20, 4, 14)
    for bad in (float("nan"), float("inf")):
        broken = good.copy()
        broken[3, 1] = bad
        with pytest.raises(ValueError, match="NaN or infinity"):
            distance(good, broken)
    with pytest.raises(ValueError, match=r"\(1, 4\).*at least two"):
        distance(good[:1], good)
    with pytest.raises(ValueError, match=r"\(20,\)"):
        distance(good[:, 0], good)
    with pytest.raises(ValueError, match=r"3.*4|4.*3"):
        distance(good, good[:, :3])


def test_kid_needs_four_images() -> None:
    with pytest.raises(ValueError, match="3 and 20 images: KID needs at least 4"):
        kernel_distance(features(3, 4, 0), features(20, 4, 1))


def repeated(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.repeat(x, counts.astype(int), axis=0)


@pytest.mark.parametrize(("n", "d"), [(30, 12), (14, 40)])
def test_frechet_replicates_are_the_distances_of_the_repeated_sets(n: int, d: int) -> None:
    a, b = features(n, d, 20) + 7.0, 1.2 * features(n, d, 21)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=6).astype(float)
    counts = np.concatenate([np.ones((1, n)), counts])
    expected = [frechet_distance(repeated(a, c), repeated(b, c)) for c in counts]
    np.testing.assert_allclose(frechet_replicates(a, b, counts), expected, rtol=1e-9)


def test_kernel_replicates_are_the_unbiased_estimate_without_own_copies() -> None:
    a, b = features(12, 5, 22), features(12, 5, 23) + 0.4
    count = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12)).astype(float)
    taken = repeated(np.arange(12), count)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / 5 + 1.0) ** 3

    pairs = [(i, j) for i in taken for j in taken if i != j]
    within = np.mean([kernel(a[i], a[j]) + kernel(b[i], b[j]) for i, j in pairs])
    between = np.mean([kernel(a[i], b[j]) for i in taken for j in taken])
    assert kernel_replicates(a, b, count[None])[0] == pytest.approx(within - 2 * between, rel=1e-10)
    # On the whole set its subsets' mean estimates the same.
    value, error = kernel_distance(a, b, subsets=4000)
    whole = kernel_replicates(a, b, np.ones((1, 12)))[0]
    cross = np.mean([kernel(a[i], b[i]) for i in range(12)]) - np.mean([kernel(x, y) for x in a for y in b])
    assert abs(value - whole) < 5 * error + abs(cross)


def test_a_small_set_makes_the_frechet_distance_too_large_and_extrapolation_corrects_it() -> None:
    rng = np.random.default_rng(5)
    shift = np.full(30, 0.2)
    small, infinite = [], []
    for _ in range(20):
        a, b = rng.normal(size=(80, 30)), rng.normal(size=(80, 30)) + shift
        sizes, values = frechet_by_size(a, b, subsets=5)
        assert sizes[0] == 20 and sizes[-1] == 80 and (np.diff(values) < 0).all()
        assert values[-1] == pytest.approx(frechet_distance(a, b), rel=1e-9)
        small.append(values[-1])
        infinite.append(frechet_at_infinity(sizes, values))
    true = 30 * 0.2**2
    assert np.mean(small) > 3 * true
    assert abs(np.mean(infinite) - true) < 0.35 * (np.mean(small) - true)


def test_a_straight_line_is_extrapolated_exactly() -> None:
    sizes = np.array([10, 20, 40])
    assert frechet_at_infinity(sizes, 3.0 + 50.0 / sizes) == pytest.approx(3.0, abs=1e-9)


def test_resampling_needs_the_same_slices_on_both_sides() -> None:
    for function in (frechet_replicates, kernel_replicates):
        with pytest.raises(ValueError, match=r"\(10, 4\) against \(9, 4\): expected the same slices"):
            function(features(10, 4, 0), features(9, 4, 1), np.ones((1, 10)))
    with pytest.raises(ValueError, match=r"7 images.*at least 8"):
        frechet_by_size(features(7, 4, 0), features(7, 4, 1))
