"""The base class of all backbones: a frozen network, and the maps of features that it makes of a slice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn

from ipv2_bench import registry

PACKAGE = "ipv2_bench.backbones"


class Backbone(nn.Module, ABC):
    """Base class of a backbone. A subclass builds its network, loads its verified weights, states its
    ``channels`` and writes :meth:`forward`.
    """

    channels: ClassVar[tuple[int, ...]]
    """Channels of its maps, from fine to coarse."""

    @abstractmethod
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Maps of features of slices [B, 1, H, W] in [0, 1], from fine to coarse, [B, C, h, w] each; with gradients."""


@lru_cache(maxsize=4)
def backbone(name: str, device: str = "cpu") -> Backbone:
    """The backbone of a name on a device, in evaluation mode, its weights without gradients; loaded once in a process.

    Raises
    ------
    InputError
        For an unknown name, and when its weights are not there or not those that they should be.
    """
    cls = registry.find(PACKAGE, name, Backbone)  # type: ignore[type-abstract]
    with torch.inference_mode(False):  # whoever asks first may be measuring, and losses want gradients of what they put in
        return cls().to(device).eval().requires_grad_(False)
