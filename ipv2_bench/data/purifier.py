"""What the data module asks of a strategy and of module 2, which are further up the road than data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ipv2_bench.data.hu_images import HuImages
from ipv2_bench.data.pair import Pair, Patches, TrainingPair
from ipv2_bench.data.slices import SliceSet


class NoiseModel(Protocol):
    """Module 2 as the data module uses it, such as :class:`ipv2_bench.purification.add_noise.AddNoise`."""

    @property
    def redraw(self) -> bool:
        """Whether a slice gets new noise at every epoch."""
        ...

    def __call__(
        self,
        normal: Tensor,
        pixel_mm: Tensor,
        generators: Sequence[torch.Generator],
        integrals: Tensor | None = None,
    ) -> Tensor:
        """The NDCT with noise, [B, 1, N, N] in [0, 1]; ``pixel_mm`` is [B], with one generator per slice."""
        ...

    def integrals(self, slices: SliceSet) -> np.ndarray | None:
        """Line integrals of every NDCT, [n, views, detectors]; ``None`` where the model does not use them."""
        ...

    def drawn(self, slices: SliceSet) -> np.ndarray | None:
        """A(n) of every slice where it is drawn once, [n, N, N] in [0, 1]; ``None`` where it is drawn anew."""
        ...


class Purifier(Protocol):
    """A strategy as the data module uses it, such as :class:`ipv2_bench.purification.Strategy`."""

    @property
    def needs_noise(self) -> bool:
        """Whether pairs hold A(n)."""
        ...

    @property
    def draws(self) -> bool:
        """Whether pairs are drawn at random, from generators."""
        ...

    def targets(self, slices: SliceSet) -> HuImages | np.ndarray | None:
        """What takes the place of the NDCT, [n, N, N] in [0, 1]; ``None`` for the NDCT itself."""
        ...

    def usable(self, slices: SliceSet) -> np.ndarray | None:
        """The share of each slice that can be trained on, [n]; ``None`` for all of all."""
        ...

    def training_side(self, size: int, crop: int | None) -> int:
        """Side of what is trained on, for slices of a side and crops (``None`` for none); crops too large are refused."""
        ...

    def patches(self, slices: SliceSet) -> Patches | None:
        """Which squares of the slices are trained on; ``None`` for those that the settings cut."""
        ...

    def training_masks(self, slices: SliceSet) -> np.ndarray | None:
        """Weights of the common mask for every slice, uint8 [n, N, N] with 255 for 1; ``None`` where none is used."""
        ...

    def training_pair(
        self,
        pair: Pair,
        add_noise: Callable[[Tensor], Tensor] | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> TrainingPair:
        """The purified pair."""
        ...
