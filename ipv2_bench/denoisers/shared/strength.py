"""The strength of a filter, chosen on training pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.errors import InputError

SIGNIFICANT = 1.05
"""Ratio of two strengths between which the search ends."""

Filter = Callable[[np.ndarray, float], np.ndarray]
"""Slice [N, N] in [0, 1] and a strength → the slice filtered."""


def filtered(apply: Filter, low: Tensor, strength: float) -> Tensor:
    """Slices [B, 1, N, N], each filtered on the CPU."""
    import torch

    images = [apply(image, strength) for image in low[:, 0].detach().cpu().double().numpy()]
    return torch.from_numpy(np.stack(images))[:, None].to(low)


def best_strength(apply: Filter, pair: TrainingPair, weakest: float, strongest: float) -> float:
    """The strength with the least mean of the slices' root mean square errors, by golden section over its logarithm.

    Parameters
    ----------
    apply
        The filter.
    pair
        Training pairs, [B, 1, N, N] in [0, 1].
    weakest, strongest
        The range that is searched.

    Raises
    ------
    InputError
        When the best is at an end of the range.
    """
    low, target = (x[:, 0].detach().cpu().double().numpy() for x in pair)
    known: dict[float, float] = {}

    def error(position: float) -> float:
        strength = float(f"{math.exp(position):.3g}")
        if strength not in known:
            each = [apply(x, strength).clip(0.0, 1.0) - y for x, y in zip(low, target, strict=True)]
            known[strength] = float(np.mean([np.sqrt((e**2).mean()) for e in each]))
        return known[strength]

    golden = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = math.log(weakest), math.log(strongest)
    while right - left > math.log(SIGNIFICANT):
        near, far = right - golden * (right - left), left + golden * (right - left)
        left, right = (left, far) if error(near) <= error(far) else (near, right)
    best = min(known, key=known.__getitem__)
    if not weakest * SIGNIFICANT < best < strongest / SIGNIFICANT:
        raise InputError(f"the best strength is {best:g}, at an end of {weakest:g} to {strongest:g}: are the pairs in order?")
    return best
