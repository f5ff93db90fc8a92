"""Distances between two sets of features, in float64: Fréchet and kernel (KID)."""

from __future__ import annotations

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance between the Gaussians of two feature sets, ``‖μ_a−μ_b‖² + tr(Σ_a+Σ_b−2(Σ_aΣ_b)^½)``.

    With centred features A and B the last trace is the nuclear norm of ``A Bᵀ`` over ``√((n−1)(m−1))``, so neither a
    covariance nor a matrix root is formed, and fewer images than features are as exact as more (unbiased covariance).

    Parameters
    ----------
    a, b
        [n, d] and [m, d], at least two rows each.

    Raises
    ------
    ValueError
        For wrong shapes or values that are not finite.
    """
    a, b = _features(a), _features(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} features against {b.shape[1]}: expected the same extractor for both sets")
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = (a - mean_a) / np.sqrt(len(a) - 1), (b - mean_b) / np.sqrt(len(b) - 1)
    if min(len(a), len(b)) > a.shape[1]:
        # tr (Σ_aΣ_b)^½ is the nuclear norm of Σ_a^½ Σ_b^½ too, which is smaller here: use triangular factors.
        a, b = (np.asarray(np.linalg.qr(x, mode="r")) for x in (a, b))
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2.0 * cross)


def kernel_distance(
    a: np.ndarray, b: np.ndarray, seed: int = 0, subsets: int = 100, subset_size: int = 1000
) -> tuple[float, float]:
    """Kernel (Inception) distance: unbiased squared MMD with the kernel ``(x·y/d + 1)³``, mean over random subsets.

    Parameters
    ----------
    a, b
        [n, d] and [m, d], at least four rows each.
    seed
        Of the subsets.
    subsets, subset_size
        How many, and of how many images; never more than half of a set, so that they differ.

    Returns
    -------
    tuple of float
        The distance, and its standard error over the subsets.
    """
    a, b = _features(a), _features(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} features against {b.shape[1]}: expected the same extractor for both sets")
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


def _features(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"features of shape {x.shape}: expected [images, features] with at least two images")
    if not np.isfinite(x).all():
        raise ValueError("features hold NaN or infinity: an image of the set does")
    return x
