"""Total-variation denoising (Rudin, Osher and Fatemi 1992; Chambolle 2004), from scikit-image."""

from __future__ import annotations

import numpy as np
from skimage.restoration import denoise_tv_chambolle

from ipv2_bench.denoisers.shared.strength import Filter


class TotalVariation(Filter):
    """Total-variation denoising; nothing but its weight is learned.

    Parameters
    ----------
    strength
        Weight of the total variation, until one is chosen on training pairs.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "TV"
    weakest, strongest = 0.01, 2.0

    def __init__(self, strength: float = 0.2, **options: object) -> None:
        super().__init__(strength, **options)

    def filtered(self, image: np.ndarray, strength: float) -> np.ndarray:
        """See :class:`~ipv2_bench.denoisers.shared.strength.Filter`."""
        return denoise_tv_chambolle(image, weight=strength)
