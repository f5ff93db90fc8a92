"""Sliced Wasserstein distance between two sets of features, which needs no covariance."""

from __future__ import annotations

from dataclasses import dataclass

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
    counts = np.asarray(counts).astype(int)
    one, other = (_Sorted.of((x @ directions).T) for x in (a, b))
    return np.array([d * ((one.taken(count) - other.taken(count)) ** 2).mean() for count in counts])


@dataclass(frozen=True)
class _Sorted:
    """Projections in ascending order, [directions, n], and the image that each is of."""

    values: np.ndarray
    image: np.ndarray

    @classmethod
    def of(cls, projections: np.ndarray) -> _Sorted:
        image = np.argsort(projections, axis=1)
        return cls(np.take_along_axis(projections, image, axis=1), image)

    def taken(self, count: np.ndarray) -> np.ndarray:
        """Those of a set that has each image so many times, in ascending order, [directions, sum of count]."""
        return np.repeat(self.values.ravel(), count[self.image].ravel()).reshape(len(self.values), -1)
