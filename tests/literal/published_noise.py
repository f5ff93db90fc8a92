"""Add Noise of the published script, written out from its formulas with scikit-image, which the script uses.

A slice is stretched to [0, 1] by its extremes; its line integrals over ``views`` angles in 180° inside of the inscribed circle
are scaled by 1/500. A ray expects I = I₀·exp(−path) photons, I₀ = 200·1000·(0.015·2.5 + 0.1002). Its count is a Poisson draw plus
a normal one of deviation 0.05·√I. The negative logarithm is filtered (Hann), back-projected with linear interpolation, stretched
by its extremes again and cast to 8 bit, which rounds down.
"""

from __future__ import annotations

import numpy as np
from skimage.transform import iradon, radon

INCIDENT = 200 * 1000 * (0.015 * 2.5 + 0.1002)


def stretched(image: np.ndarray) -> np.ndarray:
    """The image with its extremes at 0 and 1."""
    return (image - image.min()) / (image.max() - image.min())


def attenuation(unit: np.ndarray, views: int) -> np.ndarray:
    """Scaled line integrals of a slice [N, N], [N, views]."""
    return radon(stretched(unit), theta=np.arange(views) * 180 / views, circle=True) / 500


def with_noise(path: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The attenuation that is measured; a ray without photons reads as unattenuated."""
    expected = INCIDENT * np.exp(-path)
    counts = rng.poisson(expected) + rng.normal(0.0, 0.05 * np.sqrt(expected))
    return np.where(counts > 0, -np.log(np.maximum(counts, 1e-6) / INCIDENT), 0.0)


def reconstructed(path: np.ndarray, views: int) -> np.ndarray:
    """Filtered back-projection of scaled line integrals, [N, N], before it is stretched."""
    degrees = np.arange(views) * 180 / views
    return iradon(path * 500, theta=degrees, filter_name="hann", interpolation="linear", circle=True)


def published_pipeline(unit: np.ndarray, seed: int, views: int = 512) -> np.ndarray:
    """One slice [N, N] in [0, 1] with the noise of the published script, in 8-bit steps."""
    path = with_noise(attenuation(unit, views), np.random.default_rng(seed))
    return np.floor(stretched(reconstructed(path, views)) * 255) / 255
