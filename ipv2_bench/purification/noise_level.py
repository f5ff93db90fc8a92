"""How strong the noise of a slice is in a region, and regions that hold nothing else for certain."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.masks import background_mask, common_mask, dark_mask

LEAST_PIXELS = 50
"""Pixels that a region needs for its noise to be measured."""


def noise_level(image: np.ndarray, region: np.ndarray) -> float:
    """Standard deviation of the fine texture in ``region``, hardly affected by anatomy.

    The slice minus its Gaussian mean (σ = 2 px) is measured by the biweight midvariance, which is as robust as the
    median absolute deviation and nearly as efficient as the standard deviation (Beers, Flynn & Gebhardt 1990, eq. 9).

    Parameters
    ----------
    image
        [N, N] in any unit, which is that of the result.
    region
        Pixels to measure, boolean [N, N].
    """
    return biweight((image - ndimage.gaussian_filter(image, 2.0))[region])


def biweight(values: np.ndarray) -> float:
    """Root of the biweight midvariance of values [n], in their unit; 0 where more than half of them are equal."""
    deviation = (values - np.median(values)).astype(np.float64)
    mad = np.median(np.abs(deviation))
    if mad == 0.0:
        return 0.0
    u2 = (deviation / (9.0 * mad)) ** 2
    near = u2 < 1.0
    numerator = (deviation[near] ** 2 * (1.0 - u2[near]) ** 4).sum()
    denominator = ((1.0 - u2[near]) * (1.0 - 5.0 * u2[near])).sum()
    return float(np.sqrt(len(deviation) * numerator) / abs(denominator))


TISSUE = (0.57, 0.93)
"""Range of the local mean of soft tissue in the benchmark's HU window, −200 to 300 HU."""


def tissue_noise(unit: np.ndarray) -> float | None:
    """Noise of one slice in what its local mean says is soft tissue; ``None`` where there is too little of it.

    It needs no second slice and no truth, so that a scan can be compared with those that a denoiser was trained on.

    Parameters
    ----------
    unit
        [N, N] in [0, 1] of the HU window, as the result.
    """
    region = _tissue(unit)
    return noise_level(unit, region) if region.sum() >= LEAST_PIXELS else None


def tissue_grain(unit: np.ndarray) -> float | None:
    """How fine the noise of one slice is: the share of its finest texture in :func:`tissue_noise`, as the kernel leaves it.

    White noise has 1; a soft kernel leaves a tenth, a sharp one more than a half.

    Parameters
    ----------
    unit
        [N, N] in [0, 1] of the HU window.
    """
    region = _tissue(unit)
    level = noise_level(unit, region) if region.sum() >= LEAST_PIXELS else 0.0
    return biweight(finest(unit)[region]) / level if level > 0 else None


def finest(image: np.ndarray) -> np.ndarray:
    """The texture of an image [N, N] that no smooth anatomy has, scaled so that white noise keeps its standard deviation.

    The mask of Immerkær (Comput. Vis. Image Underst. 64, 1996): second differences along both axes.
    """
    second = (1.0, -2.0, 1.0)
    return ndimage.convolve1d(ndimage.convolve1d(image, second, axis=0), second, axis=1) / 6.0


def _tissue(unit: np.ndarray) -> np.ndarray:
    mean = ndimage.gaussian_filter(unit, 4.0)
    return ndimage.binary_erosion((mean > TISSUE[0]) & (mean < TISSUE[1]), iterations=2)


def lung_region(low: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Pixels that are lung in both slices for certain, boolean [N, N]: CM₁ without a rim of three pixels."""
    return ndimage.binary_erosion(common_mask(low, normal, remove_background=True) > 0, iterations=3)


def outside_region(low: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Pixels that are air outside of the body in both slices for certain, boolean [N, N], without a rim of three pixels."""
    rule = MaskRule(background="both_outside")
    outside = background_mask(low, normal, dark_mask(low), dark_mask(normal), rule)
    return ndimage.binary_erosion(outside, iterations=3)
