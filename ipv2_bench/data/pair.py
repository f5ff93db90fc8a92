"""Pairs of slices in batches: raw, and purified for training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Pair(NamedTuple):
    """Raw pairs of a batch, as the data loader yields them. A tuple, so that Lightning can move it as it is.

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
        Line integrals of the NDCT for module 2, [B, views, detectors]; empty where they are not kept.
    """

    low: Tensor
    normal: Tensor
    mask: Tensor
    pixel_mm: Tensor
    slice_index: Tensor
    integrals: Tensor = torch.zeros(0)


class TrainingPair(NamedTuple):
    """What a denoiser is trained on: purified input and its target, [B, 1, N, N], float32 in [0, 1]."""

    input: Tensor
    target: Tensor
