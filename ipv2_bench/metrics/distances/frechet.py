"""Fréchet distance between two sets of features, in float64; of resampled sets, and of infinitely many images."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.distances.features import of_one_extractor, paired


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
    a, b = of_one_extractor(a, b)
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = (a - mean_a) / np.sqrt(len(a) - 1), (b - mean_b) / np.sqrt(len(b) - 1)
    if min(len(a), len(b)) > a.shape[1]:
        # tr (Σ_aΣ_b)^½ is the nuclear norm of Σ_a^½ Σ_b^½ too, which is smaller here: use triangular factors.
        a, b = (np.asarray(np.linalg.qr(x, mode="r")) for x in (a, b))
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2.0 * cross)


def frechet_replicates(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """:func:`frechet_distance` of resampled sets, without copying features.

    Parameters
    ----------
    a, b
        [n, d] each; row i of both belongs to the same slice.
    counts
        How often each slice is taken, whole numbers [B, n], at least two in each resampled set.

    Returns
    -------
    numpy.ndarray
        Distances, [B].

    Raises
    ------
    ValueError
        When the sets differ in shape, or values are not finite.
    """
    a, b = paired(a, b)
    # Products of features are formed once; what a replicate needs follows from them. Centred first, against cancellation.
    centre = b.mean(0)
    a, b = a - centre, b - centre
    cross, within_a, within_b = a @ b.T, a @ a.T, b @ b.T
    distances = np.empty(len(counts))
    for k, count in enumerate(np.asarray(counts, dtype=np.float64)):
        use = np.flatnonzero(count)
        w, size = count[use], count.sum()
        g, ga, gb = (x[np.ix_(use, use)] for x in (cross, within_a, within_b))
        g_right, g_left = g @ w / size, w @ g / size
        mean_ab, mean_aa, mean_bb = (float(w @ x @ w) / size**2 for x in (g, ga, gb))
        root = np.sqrt(w)
        centred = root[:, None] * (g - g_right[:, None] - g_left + mean_ab) * root
        spread = w @ np.diag(ga) + w @ np.diag(gb) - size * (mean_aa + mean_bb)
        nuclear = np.linalg.svd(centred, compute_uv=False).sum()
        distances[k] = mean_aa + mean_bb - 2.0 * mean_ab + (spread - 2.0 * nuclear) / (size - 1.0)
    return distances


def frechet_by_size(a: np.ndarray, b: np.ndarray, seed: int = 0, subsets: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Mean Fréchet distance of subsets of several sizes: a small set makes the distance too large.

    Parameters
    ----------
    a, b
        [n, d] each, at least eight rows; row i of both belongs to the same slice.
    seed
        Seed of the subsets.
    subsets
        Number of random subsets of each size.

    Returns
    -------
    tuple of numpy.ndarray
        Sizes [k], evenly spaced in 1/N from n/4 to n, and the mean distance at each.

    Raises
    ------
    ValueError
        For fewer than eight images, or as in :func:`frechet_replicates`.
    """
    a, b = paired(a, b)
    n = len(a)
    if n < 8:
        raise ValueError(f"{n} images: expected at least 8, to see how the distance depends on their number")
    sizes = np.unique(np.rint(1.0 / np.linspace(1.0 / n, 4.0 / n, 7)).astype(int))
    rng = np.random.default_rng(seed)
    means = []
    for size in sizes:
        counts = np.zeros((1 if size == n else subsets, n))
        for count in counts:
            count[rng.choice(n, size, replace=False)] = 1.0
        means.append(frechet_replicates(a, b, counts).mean())
    return sizes, np.array(means)


def frechet_at_infinity(sizes: np.ndarray, distances: np.ndarray) -> float:
    """Fréchet distance of infinitely many images: intercept of a line fitted to distance against 1/N.

    FID∞ of Chong & Forsyth 2020.

    Parameters
    ----------
    sizes, distances
        Numbers of images and distances at each, both [k], as :func:`frechet_by_size` returns them.
    """
    return float(np.polyfit(1.0 / np.asarray(sizes, dtype=np.float64), distances, 1)[1])
