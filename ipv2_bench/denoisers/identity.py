"""No denoising at all: the lower bound that every denoiser must beat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser


class Identity(Denoiser):
    """Returns the uLDCT as it is. Without parameters nothing is trained."""

    title = "identity"
    network_calls = 0

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean squared error of the input."""
        return F.mse_loss(pair.input, pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The uLDCT."""
        return low
