"""Kernel distances between two sets of features, in float64: KID, and the Gaussian kernel of CMMD."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.distances.features import of_one_extractor, paired

SIGMA = 10.0
"""Width of CMMD's kernel."""


def kernel_distance(
    a: np.ndarray, b: np.ndarray, seed: int = 0, subsets: int = 100, subset_size: int = 1000
) -> tuple[float, float]:
    """Kernel (Inception) distance: unbiased squared MMD with the kernel ``(x·y/d + 1)³``, mean over random subsets.

    Parameters
    ----------
    a, b
        [n, d] and [m, d], at least four rows each.
    seed
        Seed of the subsets.
    subsets, subset_size
        Number of subsets, and images in each: never more than half of a set, so that subsets differ.

    Returns
    -------
    tuple of float
        The distance, and its standard error over the subsets.

    Raises
    ------
    ValueError
        For wrong shapes, values that are not finite, or fewer than four images on a side.
    """
    a, b = of_one_extractor(a, b)
    size = min(subset_size, len(a) // 2, len(b) // 2)
    if size < 2:
        raise ValueError(f"{len(a)} and {len(b)} images: KID needs at least 4 on each side")
    d = a.shape[1]
    aa, bb, ab = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    rng = np.random.default_rng(seed)
    values = np.empty(subsets)
    for s in range(subsets):
        i, j = rng.choice(len(a), size, replace=False), rng.choice(len(b), size, replace=False)
        x, y = aa[np.ix_(i, i)], bb[np.ix_(j, j)]
        within = (x.sum() - np.trace(x) + y.sum() - np.trace(y)) / (size * (size - 1))
        values[s] = within - 2.0 * ab[np.ix_(i, j)].mean()
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(subsets))


def kernel_replicates(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Unbiased squared MMD of :func:`kernel_distance` over whole resampled sets, [B].

    Arguments and errors are those of :func:`~ipv2_bench.metrics.distances.frechet.frechet_replicates`. A slice is never paired
    with its own copy.
    """
    a, b = paired(a, b)
    d = a.shape[1]
    aa, bb, ab = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    return _squared_mmd(aa, bb, ab, counts)


def gaussian_replicates(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """1000 times the unbiased squared MMD with the kernel of CMMD (Jayasumana et al., arXiv 2401.09603), [B].

    Features are scaled to unit length; the kernel is a Gaussian with σ = 10. Arguments and errors are those of
    :func:`~ipv2_bench.metrics.distances.frechet.frechet_replicates`.
    """
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in paired(a, b))
    # Of unit vectors, ‖x − y‖² = 2 − 2x·y.
    aa, bb, ab = (np.exp((x @ y.T - 1.0) / SIGMA**2) for x, y in ((a, a), (b, b), (a, b)))
    return 1000.0 * _squared_mmd(aa, bb, ab, counts)


def _squared_mmd(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Unbiased squared MMD of resampled sets, [B], from the kernel within both sets and between them, [n, n] each."""
    aa, bb = (x - np.diag(np.diag(x)) for x in (aa, bb))
    w = np.asarray(counts, dtype=np.float64)
    size = w.sum(1)
    pairs = size**2 - (w**2).sum(1)
    summed = np.einsum("ki,ij,kj->k", w, aa + bb, w, optimize=True)
    # A resampled set that repeats one slice has no pair, and so no value.
    within = np.divide(summed, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
    return within - 2.0 * np.einsum("ki,ij,kj->k", w, ab, w, optimize=True) / size**2
