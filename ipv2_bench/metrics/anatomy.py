"""Anatomy of a slice whose truth is known: regions, rim of the body, border of the lung, nodules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import find_contours

from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.masks import body_mask

LUNG_BELOW_HU = -400.0
BONE_ABOVE_HU = 150.0
LEAST_PIXELS = 20
"""Pixels that a region needs to be measured."""

EDGE_REACH, EDGE_STEP = 7.0, 0.25
"""Distance from the lung's border up to which its profile is measured, and width of a bin, in pixels."""

LEAST_BORDER = 40.0
"""Length in pixels up to which a border belongs to a vessel or airway and not to the lung."""

NODULE_RING_MM = (3.0, 10.0)
"""Smallest and largest distance from a nodule at which the lung around it is measured."""


@dataclass(frozen=True)
class Nodule:
    """Pixels of one nodule and of the lung around it, boolean [N, N] each."""

    inside: np.ndarray
    around: np.ndarray


@dataclass(frozen=True)
class Anatomy:
    """Where the measures look in one slice.

    Attributes
    ----------
    regions
        Name of :data:`~ipv2_bench.metrics.base.REGIONS` → boolean [N, N], see :func:`regions`.
    rim
        Boolean [N, N], see :func:`rim`.
    edge_pixels, edge_bins
        Flat index of each pixel near the lung's border, and bin of its distance to the border, both [k].
    nodules
        Nodules that the slice shows.
    """

    regions: dict[str, np.ndarray]
    rim: np.ndarray
    edge_pixels: np.ndarray
    edge_bins: np.ndarray
    nodules: tuple[Nodule, ...]


def anatomy(
    truth: np.ndarray, window: Window, pixel_mm: float = 1.0, nodule_share: np.ndarray | None = None
) -> Anatomy:
    """Everything that is measured in a noise-free slice.

    Parameters
    ----------
    truth
        [N, N] in [0, 1].
    window
        HU of 0 and 1.
    pixel_mm
        Side of a pixel in mm.
    nodule_share
        Share of each pixel that is nodule, [N, N]; ``None`` where it is not known.
    """
    pixels, bins = lung_edge(truth, window)
    nodules = () if nodule_share is None else find_nodules(nodule_share, truth, window, pixel_mm)
    return Anatomy(regions(truth, window), rim(truth), pixels, bins, nodules)


def regions(truth: np.ndarray, window: Window) -> dict[str, np.ndarray]:
    """Background, lung, soft tissue and bone of a noise-free slice [N, N] in [0, 1].

    Each is eroded by two pixels; bone (and what is as dense, such as contrast agent) by one, since ribs are thin.
    """
    body = body_mask(truth)
    hu = ndimage.gaussian_filter(window.hu(truth), 1.0)
    air, bone = hu < LUNG_BELOW_HU, hu > BONE_ABOVE_HU
    masks = {"background": ~body, "lung": body & air, "tissue": body & ~air & ~bone, "bone": body & bone}
    # Edges hold misplaced structure, which is no noise. The image's own border is no edge.
    return {
        name: ndimage.binary_erosion(mask, iterations=1 if name == "bone" else 2, border_value=1)
        for name, mask in masks.items()
    }


def rim(truth: np.ndarray, width: int = 4) -> np.ndarray:
    """Pixels at most ``width`` away from the outline of the body, on either side, in a noise-free slice [N, N] in [0, 1].

    Breathing moves them most, and a common mask can pair misaligned pixels there.
    """
    body = body_mask(truth)
    outer = ndimage.binary_dilation(body, iterations=width)
    return outer & ~ndimage.binary_erosion(body, iterations=width, border_value=1)


def lung_edge(truth: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Pixels near the border between lung and tissue, and their bins of signed distance to it.

    The border is the contour of the truth at −400 HU inside of the body, with subpixel accuracy. Bins of a quarter of a pixel
    run from −7 pixels (in the lung) to 7 (in the tissue).

    Returns
    -------
    tuple of numpy.ndarray
        Flat indices and bin numbers, both [k]; empty where the slice shows no border.
    """
    hu = window.hu(truth).astype(np.float64)
    inside = ndimage.binary_erosion(body_mask(truth), iterations=4, border_value=1)
    contours = [
        c for c in find_contours(hu, LUNG_BELOW_HU) if np.linalg.norm(np.diff(c, axis=0), axis=1).sum() > LEAST_BORDER
    ]
    points = np.concatenate(contours) if contours else np.zeros((0, 2))
    rows, columns = np.rint(points).astype(int).T if len(points) else (np.zeros(0, int), np.zeros(0, int))
    points = points[inside[rows, columns]]
    if len(points) < LEAST_PIXELS:
        return np.zeros(0, int), np.zeros(0, int)
    pixels = np.argwhere(inside)
    distance, _ = KDTree(points).query(pixels, distance_upper_bound=EDGE_REACH)
    near = np.isfinite(distance)
    pixels, distance = pixels[near], distance[near]
    signed = np.where(hu[pixels[:, 0], pixels[:, 1]] < LUNG_BELOW_HU, -distance, distance)
    bins = np.floor((signed + EDGE_REACH) / EDGE_STEP).astype(int).clip(0, edge_bins() - 1)
    return np.ravel_multi_index((pixels[:, 0], pixels[:, 1]), truth.shape), bins


def edge_bins() -> int:
    """Number of bins of :func:`lung_edge`."""
    return round(2.0 * EDGE_REACH / EDGE_STEP)


def find_nodules(
    share: np.ndarray, truth: np.ndarray, window: Window, pixel_mm: float, least: int = 3
) -> tuple[Nodule, ...]:
    """Nodules of a slice, each with a ring of bare lung around it.

    Parameters
    ----------
    share
        Share of each pixel that is nodule, [N, N]; pixels over one half belong to the nodule.
    truth, window, pixel_mm
        As for :func:`anatomy`.
    least
        Pixels that a nodule needs.
    """
    labels, n = ndimage.label(share > 0.5, np.ones((3, 3), bool))
    nodules = []
    for i in range(1, n + 1):
        inside = labels == i
        if inside.sum() < least:
            continue
        distance_mm = ndimage.distance_transform_edt(~inside) * pixel_mm
        # Vessels and the chest wall are no background.
        bare = (share < 0.01) & (window.hu(truth) < -700.0)
        around = bare & (distance_mm >= NODULE_RING_MM[0]) & (distance_mm <= NODULE_RING_MM[1])
        if around.sum() >= LEAST_PIXELS:
            nodules.append(Nodule(inside, around))
    return tuple(nodules)
