"""Non-local means (Buades et al., CVPR 2005), from scikit-image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from ipv2_bench.denoisers.shared.strength import Filter


class NonLocalMeans(Filter):
    """Average of pixels with similar patches around them; the strength follows the noise measured in the slice.

    Parameters
    ----------
    strength
        Cut-off of the distance between patches (``h``), in standard deviations of the noise, until one is chosen on training
        pairs.
    patch, reach
        Side of the patches that are compared, and the largest distance at which they are searched, in pixels.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 2
    title = "non-local means"
    weakest, strongest = 0.1, 20.0

    def __init__(self, strength: float = 0.8, patch: int = 5, reach: int = 6, **options: object) -> None:
        super().__init__(strength, **options)
        if patch < 1 or reach < 1:
            raise ValueError(f"patch {patch}, reach {reach}: expected positive numbers")
        self.patch, self.reach = patch, reach

    def filtered(self, image: np.ndarray, strength: float) -> np.ndarray:
        """See :class:`~ipv2_bench.denoisers.shared.strength.Filter`."""
        sigma = noise_level(image)
        return denoise_nl_means(
            image,
            patch_size=self.patch,
            patch_distance=self.reach,
            h=max(strength * sigma, 1e-6),
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
