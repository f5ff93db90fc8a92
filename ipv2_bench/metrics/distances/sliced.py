"""Sliced Wasserstein distance between two sets of features, which needs no covariance."""

from __future__ import annotations

import numpy as np

from ipv2_bench.metrics.distances.features import paired

DIRECTIONS = 512
"""Random directions onto which features are projected."""


def sliced_replicates(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean squared Wasserstein-2 distance of the sets' projections onto random directions, times their number of features, [B].

    Of Gaussians that differ in their means alone it is the Fréchet distance. As a distance of Inception features it is MIND
    (Berthet et al., arXiv 2605.06797). Arguments and errors are those of
    :func:`~ipv2_bench.metrics.distances.frechet.frechet_replicates`.
    """
    a, b = paired(a, b)
    d = a.shape[1]
    directions = np.random.default_rng(0).standard_normal((d, DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    a, b = a @ directions, b @ directions
    values = np.empty(len(counts))
    for k, count in enumerate(np.asarray(counts).astype(int)):
        taken = np.repeat(np.arange(len(a)), count)
        values[k] = d * ((np.sort(a[taken], axis=0) - np.sort(b[taken], axis=0)) ** 2).mean()
    return values
