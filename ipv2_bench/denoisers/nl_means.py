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
    """Average of pixels with similar patches around them; the strength follows the noise measured in the slice.

    Parameters
    ----------
    strength
        Cut-off of the distance between patches (``h``), in standard deviations of the noise.
    patch, reach
        Side of the patches that are compared, and the largest distance at which they are searched, in pixels.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "non-local means"
    network_calls = 0

    def __init__(self, strength: float = 0.8, patch: int = 5, reach: int = 6, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if not strength > 0 or patch < 1 or reach < 1:
            raise ValueError(f"strength {strength}, patch {patch}, reach {reach}: expected positive numbers")
        self.strength, self.patch, self.reach = strength, patch, reach

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Mean squared error of the result, for validation; there is nothing to train."""
        return F.mse_loss(self.denoise(pair.input), pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Denoised slices, [B, 1, H, W]; computed one by one on the CPU."""
        denoised = [self._denoise_slice(image) for image in low[:, 0].detach().cpu().double().numpy()]
        return torch.from_numpy(np.stack(denoised))[:, None].to(low)

    def _denoise_slice(self, image: np.ndarray) -> np.ndarray:
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
    """Standard deviation of white noise in an image [H, W], by a mask whose response to plane structure is zero.

    Immerkær, Computer Vision and Image Understanding 64 (1996) 300; with the median in place of the mean, so that edges
    count less.
    """
    mask = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    median = np.median(np.abs(ndimage.convolve(image, mask, mode="reflect")))
    return float(median / (0.6745 * np.sqrt((mask**2).sum())))
