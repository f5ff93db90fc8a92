"""Distances that any feature space can state beside the Fréchet and the kernel distance, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ipv2_bench.metrics.distances.kernel import gaussian_replicates
from ipv2_bench.metrics.distances.neighbours import coverage, density, precision, recall
from ipv2_bench.metrics.distances.sliced import sliced_replicates


@dataclass(frozen=True)
class Further:
    """A distance.

    Attributes
    ----------
    of
        Of tested images to a reference, [n, d] both.
    resampled
        The same when each slice is taken ``counts`` [B, n] times in both sets, [B]; ``None`` where copies of a slice would
        change what it means.
    """

    of: Callable[[np.ndarray, np.ndarray], float]
    resampled: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None


def _whole(resampled: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Further:
    return Further(lambda a, b: float(resampled(a, b, np.ones((1, len(a))))[0]), resampled)


FURTHER = {
    "cmmd": _whole(gaussian_replicates),
    "sliced": _whole(sliced_replicates),
    "precision": Further(precision),
    "recall": Further(recall),
    "density": Further(density),
    "coverage": Further(coverage),
}
