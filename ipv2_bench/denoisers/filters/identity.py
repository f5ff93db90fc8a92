"""No denoising at all: the floor that every denoiser must beat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser


class Identity(Denoiser):
    """Returns the uLDCT unchanged. It has no parameters, so nothing is trained."""

    version = 1
    title = "identity"
    network_calls = 0

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean squared error of the input."""
        return F.mse_loss(pair.input, pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The uLDCT, unchanged."""
        return low
