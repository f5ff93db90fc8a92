"""Filters whose strength is chosen on training pairs."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.errors import InputError

NEAR_ENOUGH = 1.05
"""Ratio of two strengths between which the search ends."""


class Filter(Denoiser):
    """Base class of a filter. A subclass writes :meth:`filtered` and states the range of strengths that is searched.

    Parameters
    ----------
    strength
        Its strength, until one is chosen on training pairs.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    network_calls = 0
    fitted = True
    weakest: ClassVar[float]
    strongest: ClassVar[float]
    strength: Tensor

    def __init__(self, strength: float, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if not strength > 0:
            raise ValueError(f"strength {strength}: expected a positive number")
        self.register_buffer("strength", torch.tensor(float(strength), dtype=torch.float64))

    @abstractmethod
    def filtered(self, image: np.ndarray, strength: float) -> np.ndarray:
        """A slice [N, N] in about [0, 1], float64, filtered."""

    def fit(self, pair: TrainingPair) -> None:
        """Choose the strength with the least mean of the slices' root mean square errors, by golden section over its logarithm.

        Parameters
        ----------
        pair
            Training pairs, [B, 1, N, N] in [0, 1].

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
                each = [self.filtered(x, strength).clip(0.0, 1.0) - y for x, y in zip(low, target, strict=True)]
                known[strength] = float(np.mean([np.sqrt((e**2).mean()) for e in each]))
            return known[strength]

        golden = (math.sqrt(5.0) - 1.0) / 2.0
        left, right = math.log(self.weakest), math.log(self.strongest)
        while right - left > math.log(NEAR_ENOUGH):
            near, far = right - golden * (right - left), left + golden * (right - left)
            left, right = (left, far) if error(near) <= error(far) else (near, right)
        best = min(known, key=known.__getitem__)
        if not self.weakest * NEAR_ENOUGH < best < self.strongest / NEAR_ENOUGH:
            raise InputError(
                f"the best strength of {self.title} is {best:g}, at an end of {self.weakest:g} to {self.strongest:g}: are the "
                "pairs in order?"
            )
        self.strength.fill_(best)

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean squared error of the result; there is no gradient to train with."""
        return F.mse_loss(self.denoise(pair.input), pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Filtered slices, [B, 1, H, W]; one by one on the CPU."""
        strength = float(self.strength)
        images = [self.filtered(image, strength) for image in low[:, 0].detach().cpu().double().numpy()]
        return torch.from_numpy(np.stack(images))[:, None].to(low)
