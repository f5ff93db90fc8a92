"""Masks of the purification: dark, body, common, and module 1 (Remove Background).

All take slices [N, N] in [0, 1] as NumPy arrays; masks are boolean [N, N], True where the paper's is white.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.filters.rank import median

from ipv2_bench.physics.intensity import to_8bit
from ipv2_bench.purification.mask_rule import MaskRule

_EIGHT = np.ones((3, 3), bool)
_CROSS = ndimage.generate_binary_structure(2, 1)
_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


def dark_mask(image: np.ndarray) -> np.ndarray:
    """Dark mask D(x): Otsu on the 8-bit slice, inverted, opened with a 3×3 cross, single pixels dropped (§3.1).

    Raises
    ------
    ValueError
        When the slice is constant, so that there is no threshold.
    """
    gray = to_8bit(image)
    if gray.min() == gray.max():
        raise ValueError(f"the slice is constant ({gray.min()} of 255): Otsu needs two grey levels")
    dark = gray <= threshold_otsu(gray)
    dark = ndimage.binary_dilation(ndimage.binary_erosion(dark, _CROSS, border_value=1), _CROSS)
    # Mirrored at the border without repeating it, as OpenCV's filters do.
    neighbours = ndimage.correlate(dark.astype(np.uint8), _NEIGHBOURS, mode="mirror")
    return dark & (neighbours >= 1)


def body_mask(image: np.ndarray, smooth: bool = False) -> np.ndarray:
    """Body mask: above 0.8 × Otsu, largest 8-connected part, holes filled, opened 7×7.

    ``smooth`` applies a 5×5 median first, for the noise of a uLDCT. Opening follows the filling of holes, since before it
    would break thin chest walls.
    """
    gray = to_8bit(image)
    if smooth:
        gray = median(np.pad(gray, 2, mode="symmetric"), np.ones((5, 5), np.uint8))[2:-2, 2:-2]
    labels, n = ndimage.label(gray > 0.8 * threshold_otsu(gray), _EIGHT)
    if n == 0:
        return np.zeros(image.shape, bool)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.binary_opening(ndimage.binary_fill_holes(largest), np.ones((7, 7), bool))


def connected_to_corners(mask: np.ndarray, seeds: str = "four_corners") -> np.ndarray:
    """The part of ``mask`` that a 4-connected flood fill reaches from the corners."""
    labels, _ = ndimage.label(mask, _CROSS)
    corners = [labels[0, 0]] if seeds == "one_corner" else [labels[i, j] for i in (0, -1) for j in (0, -1)]
    return np.isin(labels, [label for label in corners if label != 0])


def common_mask(
    low: np.ndarray, normal: np.ndarray, remove_background: bool = False, rule: MaskRule | None = None
) -> np.ndarray:
    """The common mask CM, or CM₁ with module 1, as weights.

    Parameters
    ----------
    low, normal
        uLDCT and NDCT, [N, N] in [0, 1].
    remove_background
        Apply module 1.
    rule
        Options of the mask; the defaults when ``None``.

    Returns
    -------
    numpy.ndarray
        uint8 [N, N], 255 for weight 1 (254 only under ``union="uint8_wrap"``).

    Raises
    ------
    ValueError
        When the slices differ in shape, or one is constant.
    """
    if low.shape != normal.shape or low.ndim != 2:
        raise ValueError(f"uLDCT {low.shape} and NDCT {normal.shape}: expected two slices of one shape [N, N]")
    rule = rule or MaskRule()
    d_low, d_normal = dark_mask(low), dark_mask(normal)
    weight = 255 * (d_low | d_normal).astype(np.uint8)
    if rule.union == "uint8_wrap":
        weight[d_low & d_normal] = 254
    if remove_background:
        weight[background_mask(low, normal, d_low, d_normal, rule)] = 0
    return weight


def background_mask(
    low: np.ndarray, normal: np.ndarray, d_low: np.ndarray, d_normal: np.ndarray, rule: MaskRule
) -> np.ndarray:
    """Pixels that module 1 clears from the common mask, boolean [N, N], given both slices and their dark masks."""
    if rule.background == "both_outside":
        return ~(body_mask(low, smooth=True) | body_mask(normal))
    if rule.order == "fill_then_or":
        return connected_to_corners(d_low, rule.seeds) & ~d_normal
    return connected_to_corners(d_low | d_normal, rule.seeds)


def anatomy_mask(low: np.ndarray, normal: np.ndarray, rule: MaskRule) -> np.ndarray:
    """Everything but the background of module 1 as weights, uint8 [N, N] with 255 for 1 (how §3.1 reads)."""
    return 255 * (~background_mask(low, normal, dark_mask(low), dark_mask(normal), rule)).astype(np.uint8)
