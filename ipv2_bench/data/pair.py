"""Pairs of slices: raw, purified for training, and the raw ones of a slice set as a torch dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ipv2_bench.data.hu_images import HuImages
from ipv2_bench.data.slices import SliceSet


class Pair(NamedTuple):
    """Raw pairs of a batch, as the data loader yields them. A tuple, so that Lightning can move it as it is.

    The shapes are those of single slices. With a context of C slices images are [B, C, N, N], and all other fields have C as
    their second dimension: [B, C], and [B, C, views, detectors].

    Attributes
    ----------
    low, normal
        uLDCT u and its misaligned NDCT n, [B, 1, N, N], float32 in [0, 1].
    mask
        Weight of the strategy's common mask, [B, 1, N, N], float32 in [0, 1].
    pixel_mm
        Side of a pixel in mm, [B].
    slice_index
        Index of the slice in its :class:`~ipv2_bench.data.slices.SliceSet`, [B], int64.
    integrals
        Line integrals of the NDCT for module 2, [B, views, detectors]; empty, [B, 0], where they are not kept.
    noisy
        A(n) where it is drawn once for each slice, [B, 1, N, N]; empty, [B, 0], where it is not kept.
    """

    low: Tensor
    normal: Tensor
    mask: Tensor
    pixel_mm: Tensor
    slice_index: Tensor
    integrals: Tensor = torch.zeros(0)
    noisy: Tensor = torch.zeros(0)


class TrainingPair(NamedTuple):
    """What a denoiser is trained on: purified input [B, context, N, N] and its target [B, 1, N, N], float32 in [0, 1]."""

    input: Tensor
    target: Tensor


@dataclass(frozen=True)
class Patches:
    """The squares of a slice set that a strategy trains on.

    Attributes
    ----------
    side
        Of a square in pixels.
    stride
        Pixels between the corners of neighbouring squares.
    kept
        Whether the square with its upper left corner at (row, column) times ``stride`` is trained on, uint8 [n, rows, columns].
    """

    side: int
    stride: int
    kept: np.ndarray

    def corners(self, i: int) -> np.ndarray:
        """Rows and columns of the upper left corners of slice ``i``'s squares, [k, 2]."""
        return np.argwhere(np.asarray(self.kept[i])) * self.stride


@dataclass(frozen=True)
class Crops:
    """What of a purified slice a denoiser is trained on: random squares of it, or all of it.

    Attributes
    ----------
    size
        Side of a square in pixels; ``None`` for whole slices.
    per_slice
        Squares of each slice in a batch.
    mirror
        Whether left and right are exchanged in a random half of them.
    """

    size: int | None = None
    per_slice: int = 1
    mirror: bool = False

    @property
    def are_whole(self) -> bool:
        """Whether pairs stay as they are."""
        return self.size is None and not self.mirror

    def of_side(self, side: int, size: int) -> Crops:
        """Squares of another side with as many pixels of a slice [size, size] in a batch, as far as whole squares go."""
        pixels = size**2 if self.size is None else self.per_slice * self.size**2
        return Crops(side, max(1, round(pixels / side**2)), self.mirror)

    def cut(
        self,
        pair: TrainingPair,
        generators: Sequence[torch.Generator],
        corners: Sequence[np.ndarray] | None = None,
    ) -> TrainingPair:
        """Crops of a batch, the same of input and target, [B·per_slice, …, size, size]; those of a slice follow each other.

        Parameters
        ----------
        pair
            Of whole slices.
        generators
            One on the CPU for each slice, from which its crops are drawn one after the other.
        corners
            Rows and columns of the upper left corners that may be drawn, [k, 2] for each slice; any for ``None``.
        """
        slices = [TrainingPair(*(x[i] for x in pair)) for i in range(len(generators))]
        among = [None] * len(slices) if corners is None else corners
        crops = [
            _crop(one, self, generator, of_slice)
            for one, generator, of_slice in zip(slices, generators, among, strict=True)
            for _ in range(self.per_slice)
        ]
        return TrainingPair(*(torch.stack(parts) for parts in zip(*crops, strict=True)))


def _crop(pair: TrainingPair, crops: Crops, generator: torch.Generator, corners: np.ndarray | None) -> TrainingPair:
    """One crop of input and target [C, N, N]; the number of draws is the same for every choice."""
    height, width = pair.input.shape[-2:]
    side = (crops.size or height, crops.size or width)
    if corners is None:
        top, left = (int(torch.randint(n - k + 1, (), generator=generator)) for n, k in zip((height, width), side, strict=True))
    else:
        top, left = corners[int(torch.randint(len(corners), (), generator=generator))]
    exchanged = bool(torch.randint(2, (), generator=generator)) and crops.mirror
    parts = (x[:, top : top + side[0], left : left + side[1]] for x in pair)
    return TrainingPair(*(x.flip(-1) if exchanged else x for x in parts))


class PairDataset(Dataset):
    """Raw pairs of some slices of a set, with their neighbours where there is a context.

    Parameters
    ----------
    slices
        The slice set.
    index
        Indices of the slices that take part.
    masks
        Weights of the common mask, uint8 [n, N, N] with 255 for 1; ``None`` for weights of 0.
    integrals
        Line integrals of the NDCT, [n, views, detectors]; ``None`` for empty ones.
    noisy
        A(n) of every slice, [n, N, N] float32; ``None`` where it is not kept.
    targets
        What takes the place of the NDCT, such as the aligned truth, [n, N, N] in [0, 1]; the NDCT for ``None``.
    context
        Slices in an item: 1, or an odd number with the neighbours in the series. An item is a
        :class:`~ipv2_bench.data.pair.Pair` without the batch dimension: images are [context, N, N], and with a context above 1
        all other fields have it as their first dimension, too.
    """

    def __init__(
        self,
        slices: SliceSet,
        index: np.ndarray,
        masks: np.ndarray | None = None,
        integrals: np.ndarray | None = None,
        context: int = 1,
        targets: HuImages | np.ndarray | None = None,
        noisy: np.ndarray | None = None,
    ) -> None:
        self.slices, self.index, self.masks, self.integrals, self.noisy = slices, index, masks, integrals, noisy
        self.context, self.targets = context, slices.normal if targets is None else targets

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> Pair:
        i = int(self.index[item])
        if self.context == 1:
            return self._pair(i)
        neighbours = [self._pair(j) for j in self.slices.neighbourhood(i, self.context)]
        return Pair(
            *(torch.cat(parts) if parts[0].ndim > 2 else torch.stack(parts) for parts in zip(*neighbours, strict=True))
        )

    def _pair(self, i: int) -> Pair:
        """The pair of the slice with index ``i`` in the slice set."""
        low, normal = (torch.from_numpy(np.array(a[i]))[None] for a in (self.slices.low, self.targets))
        mask = torch.zeros_like(low)
        if self.masks is not None:
            mask = torch.from_numpy(np.array(self.masks[i])).float()[None] / 255.0
        pixel_mm = torch.tensor(self.slices.pixel_mm[i], dtype=torch.float32)
        integrals = torch.zeros(0) if self.integrals is None else torch.from_numpy(np.array(self.integrals[i]))
        noisy = torch.zeros(0) if self.noisy is None else torch.from_numpy(np.array(self.noisy[i]))[None]
        return Pair(low, normal, mask, pixel_mm, torch.tensor(i), integrals, noisy)
