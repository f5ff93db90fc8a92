"""The distances as classes of torchmetrics, for features that are collected batch by batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ipv2_bench.metrics.distances.frechet import frechet_distance
from ipv2_bench.metrics.distances.kernel import kernel_distance


class FeatureDistance(Metric):
    """Base class that collects the features of two image sets; ``update`` takes a batch of either.

    All features are kept, since both distances need every one of them; 100 000 images of 2048 features are 1.6 GB.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("real", default=[], dist_reduce_fx="cat")
        self.add_state("tested", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features [B, d] of the reference (``real``) or of the images that are tested against it.

        Raises
        ------
        ValueError
            When they are not [B, d].
        """
        if features.ndim != 2:
            raise ValueError(f"features of shape {tuple(features.shape)}: expected [batch, features]")
        getattr(self, "real" if real else "tested").append(features.detach().double())

    def _sets(self) -> tuple[Any, Any]:
        """Features of the tested images and of the reference, float64 [n, d] each."""
        for name in ("real", "tested"):
            if not len(getattr(self, name)):
                raise ValueError(f"no features with real={name == 'real'} yet: call update for both sets before compute")
        tested, real = (dim_zero_cat(getattr(self, name)).cpu().numpy() for name in ("tested", "real"))
        return tested, real


class FrechetDistance(FeatureDistance):
    """:func:`~ipv2_bench.metrics.distances.frechet.frechet_distance` of the collected features, a float64 scalar."""

    def compute(self) -> Tensor:
        """The distance."""
        return torch.tensor(frechet_distance(*self._sets()), dtype=torch.float64)


class KernelDistance(FeatureDistance):
    """:func:`~ipv2_bench.metrics.distances.kernel.kernel_distance` of the collected features, and its standard error.

    Parameters
    ----------
    seed, subsets, subset_size
        As in the function.
    """

    def __init__(self, seed: int = 0, subsets: int = 100, subset_size: int = 1000, **options: Any) -> None:
        super().__init__(**options)
        self.seed, self.subsets, self.subset_size = seed, subsets, subset_size

    def compute(self) -> tuple[Tensor, Tensor]:
        """The distance and its standard error."""
        mean, error = kernel_distance(*self._sets(), self.seed, self.subsets, self.subset_size)
        return torch.tensor(mean, dtype=torch.float64), torch.tensor(error, dtype=torch.float64)
