"""Add Noise of the published script, with scikit-image as in the script."""

from __future__ import annotations

import numpy as np
import torch
from skimage.transform import iradon, radon

from ipv2_bench.physics.published import FLUX, PATH_SCALE, published_counts
from ipv2_bench.physics.seeding import torch_generator


def published_pipeline(unit: np.ndarray, seed: int, views: int = 512) -> np.ndarray:
    """One slice [N, N] in [0, 1] with the noise of the published script, in 8-bit steps."""
    degrees = np.arange(views) * (180.0 / views)
    path = radon((unit - unit.min()) / np.ptp(unit), theta=degrees, circle=True) * PATH_SCALE
    counts = published_counts(torch.from_numpy(path), torch_generator(seed)).numpy()
    noisy = np.where(counts > 0, -np.log(np.maximum(counts, 1e-6) / FLUX), 0.0)
    image = iradon(noisy / PATH_SCALE, theta=degrees, filter_name="hann", circle=True)
    return np.floor((image - image.min()) / np.ptp(image) * 255) / 255
