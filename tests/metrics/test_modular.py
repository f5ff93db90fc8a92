"""The distances as classes of torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipv2_bench.metrics.distances.frechet import frechet_distance
from ipv2_bench.metrics.distances.kernel import kernel_distance
from ipv2_bench.metrics.modular import FrechetDistance, KernelDistance

SETS = np.random.default_rng(0).normal(size=(2, 30, 6))
SETS[1] += 0.4


def filled(metric: FrechetDistance | KernelDistance) -> FrechetDistance | KernelDistance:
    for start in (0, 7, 20):
        stop = {0: 7, 7: 20, 20: 30}[start]
        metric.update(torch.from_numpy(SETS[0][start:stop]), real=False)
        metric.update(torch.from_numpy(SETS[1][start:stop]), real=True)
    return metric


def test_batches_give_the_values_of_the_functions() -> None:
    assert float(filled(FrechetDistance()).compute()) == frechet_distance(*SETS)
    mean, error = filled(KernelDistance(seed=3, subsets=20, subset_size=10)).compute()
    assert (float(mean), float(error)) == kernel_distance(*SETS, seed=3, subsets=20, subset_size=10)


def test_after_a_reset_the_empty_side_is_named() -> None:
    metric = filled(FrechetDistance())
    metric.reset()
    metric.update(torch.from_numpy(SETS[0]), real=False)
    with pytest.raises(ValueError, match="no features with real=True yet"):
        metric.compute()
    with pytest.raises(ValueError, match=r"\(30,\)"):
        metric.update(torch.zeros(30), real=True)
