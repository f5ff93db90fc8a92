"""Where things lie in a slice whose truth is known: regions, the rim of the body, the border of the lung, nodules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import find_contours

from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.masks import body_mask

REGIONS = ("background", "lung", "tissue", "bone")
LUNG_BELOW_HU = -400.0
BONE_ABOVE_HU = 150.0
LEAST_PIXELS = 20
"""A region with fewer is not measured."""

EDGE_REACH, EDGE_STEP = 7.0, 0.25
"""Distance from the lung's border in pixels up to which its profile is taken, and the width of a bin."""

LEAST_BORDER = 40.0
"""Length in pixels under which a border is that of a vessel or airway and not of the lung."""

NODULE_RING_MM = (3.0, 10.0)
"""Distance from a nodule between which the lung around it is measured."""


@dataclass(frozen=True)
class Nodule:
    """One nodule's pixels and the lung around it, boolean [N, N] each."""

    inside: np.ndarray
    around: np.ndarray


@dataclass(frozen=True)
class Anatomy:
    """What is measured where in one slice.

    Attributes
    ----------
    regions
        Name of :data:`REGIONS` → boolean [N, N], see :func:`regions`.
    rim
        See :func:`rim`.
    edge_pixels, edge_bins
        Flat indices of the pixels near the lung's border, and the bin of distance to it of each.
    nodules
        Those that are seen.
    """

    regions: dict[str, np.ndarray]
    rim: np.ndarray
    edge_pixels: np.ndarray
    edge_bins: np.ndarray
    nodules: tuple[Nodule, ...]


def anatomy(
    truth: np.ndarray, window: Window, pixel_mm: float = 1.0, nodule_share: np.ndarray | None = None
) -> Anatomy:
    """Find all of it in a noise-free slice.

    Parameters
    ----------
    truth
        [N, N] in [0, 1].
    window
        Its HU.
    pixel_mm
        Side of a pixel in mm.
    nodule_share
        Share of each pixel that is nodule, [N, N]; ``None`` where it is not known.
    """
    found = regions(truth, window)
    pixels, bins = lung_edge(truth, window)
    nodules = () if nodule_share is None else find_nodules(nodule_share, truth, window, pixel_mm)
    return Anatomy(found, rim(truth), pixels, bins, nodules)


def regions(truth: np.ndarray, window: Window) -> dict[str, np.ndarray]:
    """Background, lung, soft tissue and bone of a noise-free slice [N, N] in [0, 1].

    Each is without a rim of two pixels, bone (and whatever is as dense, such as contrast agent) without one, since ribs
    are thin.
    """
    body = body_mask(truth)
    hu = ndimage.gaussian_filter(window.hu(truth), 1.0)
    air, bone = hu < LUNG_BELOW_HU, hu > BONE_ABOVE_HU
    found = {"background": ~body, "lung": body & air, "tissue": body & ~air & ~bone, "bone": body & bone}
    # Edges hold misplaced structure, which is no noise. The image's own border is no edge.
    return {
        name: ndimage.binary_erosion(r, iterations=1 if name == "bone" else 2, border_value=1)
        for name, r in found.items()
    }


def rim(truth: np.ndarray, width: int = 4) -> np.ndarray:
    """Pixels at most ``width`` from the outline of the body, on either side, of a noise-free slice [N, N] in [0, 1].

    What breathing moves most, and where a common mask can pair misaligned pixels.
    """
    body = body_mask(truth)
    outer = ndimage.binary_dilation(body, iterations=width)
    return outer & ~ndimage.binary_erosion(body, iterations=width, border_value=1)


def lung_edge(truth: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Pixels near the border between lung and tissue, and their bins of signed distance to it.

    The border is the contour of the truth at −400 HU inside of the body, to a fraction of a pixel. Bins of a quarter of a
    pixel run from −7 pixels (in the lung) to 7 (in the tissue).

    Returns
    -------
    tuple of numpy.ndarray
        Flat indices and bin numbers, both [k], perhaps empty.
    """
    hu = window.hu(truth).astype(np.float64)
    inside = ndimage.binary_erosion(body_mask(truth), iterations=4, border_value=1)
    lines = [
        c for c in find_contours(hu, LUNG_BELOW_HU) if np.linalg.norm(np.diff(c, axis=0), axis=1).sum() > LEAST_BORDER
    ]
    points = np.concatenate(lines) if lines else np.zeros((0, 2))
    rows, columns = np.rint(points).astype(int).T if len(points) else (np.zeros(0, int), np.zeros(0, int))
    points = points[inside[rows, columns]]
    if len(points) < LEAST_PIXELS:
        return np.zeros(0, int), np.zeros(0, int)
    at = np.argwhere(inside)
    distance, _ = KDTree(points).query(at, distance_upper_bound=EDGE_REACH)
    near = np.isfinite(distance)
    at, distance = at[near], distance[near]
    signed = np.where(hu[at[:, 0], at[:, 1]] < LUNG_BELOW_HU, -distance, distance)
    bins = np.floor((signed + EDGE_REACH) / EDGE_STEP).astype(int).clip(0, edge_bins() - 1)
    return np.ravel_multi_index((at[:, 0], at[:, 1]), truth.shape), bins


def edge_bins() -> int:
    """Number of bins of :func:`lung_edge`."""
    return round(2.0 * EDGE_REACH / EDGE_STEP)


def find_nodules(
    share: np.ndarray, truth: np.ndarray, window: Window, pixel_mm: float, least: int = 3
) -> tuple[Nodule, ...]:
    """Nodules of at least ``least`` pixels that are mostly nodule, each with a ring of bare lung around it."""
    labels, n = ndimage.label(share > 0.5, np.ones((3, 3), bool))
    found = []
    for i in range(1, n + 1):
        inside = labels == i
        if inside.sum() < least:
            continue
        away = ndimage.distance_transform_edt(~inside) * pixel_mm
        # Vessels and the chest wall are no background.
        bare = (share < 0.01) & (window.hu(truth) < -700.0)
        around = bare & (away >= NODULE_RING_MM[0]) & (away <= NODULE_RING_MM[1])
        if around.sum() >= LEAST_PIXELS:
            found.append(Nodule(inside, around))
    return tuple(found)
