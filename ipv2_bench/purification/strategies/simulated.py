"""Simulated pairs: the NDCT with simulated noise, and the NDCT that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ipv2_bench.data.pair import Pair, TrainingPair


@dataclass(frozen=True)
class Simulated(Strategy):
    """The pair ``A(n) → n``: module 2's noise over the whole slice. The weak denoiser of module 3 is trained so."""

    summary = "A(n), the NDCT with simulated noise"
    needs_noise = True

    def training_pair(
        self,
        pair: Pair,
        add_noise: Callable[[Tensor], Tensor] | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> TrainingPair:
        """``A(n) → n``.

        Raises
        ------
        ValueError
            When no ``add_noise`` is given.
        """
        from ipv2_bench.data.pair import TrainingPair

        if add_noise is None:
            raise ValueError(f"strategy {self.name} adds noise: give add_noise")
        return TrainingPair(add_noise(pair.normal), pair.normal)
