"""Non-local means (Buades et al., CVPR 2005), from scikit-image: classical, training-free."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage.restoration import denoise_nl_means
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser


class NonLocalMeans(Denoiser):
    """Averages pixels whose surroundings are alike, with a strength set by the slice's own noise.

    Parameters
    ----------
    strength
        Cut-off of the likeness, in standard deviations of the noise.
    patch, reach
        Side of the surroundings that are compared, and how far a pixel looks, in pixels.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    title = "non-local means"
    network_calls = 0

    def __init__(self, strength: float = 0.8, patch: int = 5, reach: int = 6, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if not strength > 0 or patch < 1 or reach < 1:
            raise ValueError(f"strength {strength}, patch {patch}, reach {reach}: expected positive numbers")
        self.strength, self.patch, self.reach = strength, patch, reach

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean squared error of its result; nothing is trained with it."""
        return F.mse_loss(self.denoise(pair.input), pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Slice by slice, on the CPU."""
        made = [self._one(image) for image in low[:, 0].detach().cpu().double().numpy()]
        return torch.from_numpy(np.stack(made))[:, None].to(low)

    def _one(self, image: np.ndarray) -> np.ndarray:
        sigma = noise_level(image)
        return denoise_nl_means(
            image,
            patch_size=self.patch,
            patch_distance=self.reach,
            h=max(self.strength * sigma, 1e-6),
            sigma=sigma,
            fast_mode=True,
        )


def noise_level(image: np.ndarray) -> float:
    """Standard deviation of white noise in an image [H, W], by a mask that plane structure does not reach.

    Immerkær, Computer Vision and Image Understanding 64 (1996) 300; with the median in place of the mean, so that edges
    count less.
    """
    mask = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    found = np.median(np.abs(ndimage.convolve(image, mask, mode="reflect")))
    return float(found / (0.6745 * np.sqrt((mask**2).sum())))
