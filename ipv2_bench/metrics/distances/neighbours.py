"""How two sets of features overlap, by nearest neighbours: precision, recall, density and coverage."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from ipv2_bench.metrics.distances.features import of_one_extractor

NEIGHBOURS = 5
"""Neighbour up to which an image's surroundings reach; the last one in sets that have fewer."""


def precision(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the tested images a [n, d] that lie in the surroundings of an image of the reference b [m, d].

    Kynkäänniemi et al., arXiv 1904.06991. Errors of all four: ValueError for wrong shapes or values that are not finite.
    """
    between, of_b, _ = _surroundings(a, b)
    return float((between < of_b).any(1).mean())


def recall(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the reference's images that lie in the surroundings of a tested image; see :func:`precision`."""
    between, _, of_a = _surroundings(a, b)
    return float((between < of_a[:, None]).any(0).mean())


def density(a: np.ndarray, b: np.ndarray) -> float:
    """In how many surroundings of the reference's images a tested image lies, over the number of neighbours, mean.

    Naeem et al., arXiv 2002.09797; about 1 for sets of one distribution, and more where tested images crowd.
    """
    between, of_b, _ = _surroundings(a, b)
    return float((between < of_b).sum(1).mean() / _neighbours(b))


def coverage(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the reference's images in whose surroundings a tested image lies; see :func:`density`."""
    between, of_b, _ = _surroundings(a, b)
    return float((between.min(0) < of_b).mean())


def _surroundings(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances between the images of both sets, [n, m], and how far the surroundings of those of b [m] and of a [n] reach."""
    a, b = of_one_extractor(a, b)
    reach_b, reach_a = (np.sort(cdist(x, x), axis=1)[:, _neighbours(x)] for x in (b, a))  # the first is the image itself
    return cdist(a, b), reach_b, reach_a


def _neighbours(x: np.ndarray) -> int:
    return min(NEIGHBOURS, len(x) - 1)
