"""Masks of the purification: dark, body, common, and module 1 (Remove Background).

All take slices [N, N] in [0, 1] as NumPy arrays; masks are boolean [N, N], True where the paper's is white.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from ipv2_bench.physics.intensity import to_8bit

_EIGHT = np.ones((3, 3), bool)
_CROSS = ndimage.generate_binary_structure(2, 1)
_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


@dataclass(frozen=True)
class MaskRule:
    """Where paper and authors' code differ; the defaults are the code's, and the paper's where the code has a bug.

    Attributes
    ----------
    background
        Module 1's rule. ``flood_fill`` (published): the part of the mask that is connected to the seeds is cleared.
        ``both_outside`` (ours): the mask is cleared only where both scans lie outside of the body. The published
        rule also clears the rim that is body in one scan and air in the other, and so pairs misaligned pixels.
    order
        ``or_then_fill`` (code): fill the common mask. ``fill_then_or`` (paper, §3.1): fill the uLDCT's mask, then OR
        with the NDCT's, which puts the background back.
    seeds
        ``four_corners`` (paper) or ``one_corner`` (code) where the fill starts.
    union
        ``logical``, or ``uint8_wrap`` (code's bug: 255 + 255 wraps to 254, weight 0.996).
    """

    background: str = "flood_fill"
    order: str = "or_then_fill"
    seeds: str = "four_corners"
    union: str = "logical"

    def __post_init__(self) -> None:
        for name, valid in {
            "background": ("flood_fill", "both_outside"),
            "order": ("or_then_fill", "fill_then_or"),
            "seeds": ("four_corners", "one_corner"),
            "union": ("logical", "uint8_wrap"),
        }.items():
            if getattr(self, name) not in valid:
                raise ValueError(f"{name} '{getattr(self, name)}' is unknown: use one of {', '.join(valid)}")


def dark_mask(image: np.ndarray) -> np.ndarray:
    """D(x): Otsu on the 8-bit slice, inverted, opened with a 3×3 cross, lone pixels dropped (§3.1).

    Raises
    ------
    ValueError
        When the slice is constant, which leaves nothing to threshold.
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
    """The body: above 0.8 × Otsu, largest 8-connected part, holes filled, opened 7×7.

    ``smooth`` takes a 5×5 median first, for the noise of a uLDCT. Opening comes after filling, since before it breaks
    thin chest walls.
    """
    gray = to_8bit(image)
    if smooth:
        gray = ndimage.median_filter(gray, 5)
    labels, n = ndimage.label(gray > 0.8 * threshold_otsu(gray), _EIGHT)
    if n == 0:
        return np.zeros(image.shape, bool)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.binary_opening(ndimage.binary_fill_holes(largest), np.ones((7, 7), bool))


def connected_to_corners(mask: np.ndarray, seeds: str = "four_corners") -> np.ndarray:
    """The part of ``mask`` that a 4-connected flood fill reaches from the corners."""
    labels, _ = ndimage.label(mask, _CROSS)
    at = [labels[0, 0]] if seeds == "one_corner" else [labels[i, j] for i in (0, -1) for j in (0, -1)]
    return np.isin(labels, [label for label in at if label != 0])


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
        Options; the defaults when ``None``.

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
    """What module 1 clears of the common mask, given both slices and their dark masks."""
    if rule.background == "both_outside":
        return ~(body_mask(low, smooth=True) | body_mask(normal))
    if rule.order == "fill_then_or":
        return connected_to_corners(d_low, rule.seeds) & ~d_normal
    return connected_to_corners(d_low | d_normal, rule.seeds)
