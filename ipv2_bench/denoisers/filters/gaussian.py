"""A Gaussian filter, from SciPy: what every denoiser must beat."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from ipv2_bench.denoisers.shared.strength import Filter


class GaussianFilter(Filter):
    """A Gaussian filter; nothing but its width is learned.

    Parameters
    ----------
    strength
        σ in pixels, until one is chosen on training pairs.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "Gaussian"
    weakest, strongest = 0.2, 8.0

    def __init__(self, strength: float = 1.5, **options: object) -> None:
        super().__init__(strength, **options)

    def filtered(self, image: np.ndarray, strength: float) -> np.ndarray:
        """See :class:`~ipv2_bench.denoisers.shared.strength.Filter`."""
        return gaussian_filter(image, strength)
