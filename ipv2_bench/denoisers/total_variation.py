"""Total-variation denoising (Rudin, Osher and Fatemi 1992; Chambolle 2004), from scikit-image."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.shared.strength import best_strength, filtered


class TotalVariation(Denoiser):
    """Total-variation denoising whose weight is chosen on training pairs; nothing else is learned.

    Parameters
    ----------
    strength
        Weight of the total variation, until one is chosen on training pairs.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "TV"
    network_calls = 0
    fitted = True
    strength: Tensor

    def __init__(self, strength: float = 0.2, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if not strength > 0:
            raise ValueError(f"strength {strength}: expected a positive number")
        self.register_buffer("strength", torch.tensor(float(strength), dtype=torch.float64))

    def fit(self, pair: TrainingPair) -> None:
        """Choose the strength with the least error on pairs [B, 1, N, N]."""
        self.strength.fill_(best_strength(_filter, pair, 0.01, 2.0))

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean squared error of the result; there is no gradient to train with."""
        return F.mse_loss(self.denoise(pair.input), pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Filtered slices, [B, 1, H, W]; one by one on the CPU."""
        return filtered(_filter, low, float(self.strength))


def _filter(image: np.ndarray, strength: float) -> np.ndarray:
    return denoise_tv_chambolle(image, weight=strength)
