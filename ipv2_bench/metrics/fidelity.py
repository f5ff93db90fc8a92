"""Fidelity to the aligned truth, where it is known: PSNR, SSIM, RMSE in HU, and residual noise by region."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.masks import body_mask

REGIONS = ("background", "lung", "tissue")
LUNG_BELOW_HU = -400.0


def regions(truth: np.ndarray, window: Window) -> dict[str, np.ndarray]:
    """Background, lung and tissue of a noise-free slice [N, N] in [0, 1], each without a rim of two pixels."""
    body = body_mask(truth)
    air = ndimage.gaussian_filter(window.hu(truth), 1.0) < LUNG_BELOW_HU
    found = {"background": ~body, "lung": body & air, "tissue": body & ~air}
    # Edges hold misplaced structure, which is no noise. The image's own border is no edge.
    return {name: ndimage.binary_erosion(r, iterations=2, border_value=1) for name, r in found.items()}


def rim(truth: np.ndarray, width: int = 4) -> np.ndarray:
    """Pixels at most ``width`` from the outline of the body, on either side, of a noise-free slice [N, N] in [0, 1].

    What breathing moves most, and where a common mask can pair misaligned pixels.
    """
    body = body_mask(truth)
    outer = ndimage.binary_dilation(body, iterations=width)
    return outer & ~ndimage.binary_erosion(body, iterations=width, border_value=1)


def fidelity(image: np.ndarray, truth: np.ndarray, window: Window) -> dict[str, float]:
    """Compare one slice with its truth, both [N, N] in [0, 1].

    Returns
    -------
    dict
        ``psnr_db`` (over the window), ``ssim`` (Wang et al. 2004: Gaussian weights of σ 1.5), ``rmse_hu``, and for
        each region ``noise_hu_*`` (standard deviation of the error) and ``bias_hu_*`` (its mean); NaN where a slice
        lacks the region. ``rmse_hu_rim`` is that of :func:`rim`.
    """
    error = (image - truth).astype(np.float64) * window.width
    mse = float((error**2).mean())
    result = {
        "psnr_db": 10.0 * np.log10(window.width**2 / max(mse, 1e-12)),
        "ssim": float(
            structural_similarity(
                image, truth, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
        ),
        "rmse_hu": float(np.sqrt(mse)),
    }
    border = error[rim(truth)]
    result["rmse_hu_rim"] = float(np.sqrt((border**2).mean())) if border.size >= 20 else float("nan")
    for name, region in regions(truth, window).items():
        inside = error[region]
        result[f"noise_hu_{name}"] = float(inside.std()) if inside.size >= 20 else float("nan")
        result[f"bias_hu_{name}"] = float(inside.mean()) if inside.size >= 20 else float("nan")
    return result
