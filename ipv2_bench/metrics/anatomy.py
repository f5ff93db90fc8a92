"""Anatomy of a slice whose truth is known: regions, rim of the body, border of the lung, nodules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.edges import Edges, find_edges
from ipv2_bench.metrics.lung_border import LUNG_BELOW_HU, LungBorder, lung_border
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.masks import body_mask

BONE_ABOVE_HU = 150.0
LEAST_PIXELS = 20
"""Pixels that a region needs to be measured."""

TISSUES_HU = {"fat": (-150.0, -50.0), "muscle": (10.0, 100.0)}
"""HU of soft tissues, smoothed by a pixel."""

AIRWAY_BELOW_HU, WALL_ABOVE_HU = -930.0, -500.0
"""HU of the air in an airway, smoothed by a pixel, and of the wall around it."""

AIRWAY_MM2 = (20.0, 800.0)
"""Smallest and largest area of an airway in a slice: the trachea and the large bronchi."""

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
        Name of :data:`~ipv2_bench.metrics.base.REGIONS` → boolean [N, N]: those of :func:`regions`, where the truth is inside
        of the window. A denoiser's output cannot leave it, and would be biased elsewhere; against a clipped truth the noise of
        its images would look smaller than it is.
    rim
        Boolean [N, N], see :func:`rim`.
    lung_border
        Pixels near the border between lung and tissue.
    nodules
        Nodules that the slice shows.
    tissues
        Name of :data:`~ipv2_bench.metrics.base.TISSUES` → boolean [N, N], see :func:`tissues`, inside of the window.
    edges
        Edges of each contrast of :data:`~ipv2_bench.metrics.base.EDGE_CONTRASTS`.
    """

    regions: dict[str, np.ndarray]
    rim: np.ndarray
    lung_border: LungBorder
    nodules: tuple[Nodule, ...]
    tissues: dict[str, np.ndarray]
    edges: dict[int, Edges]


def anatomy(
    hu: np.ndarray, window: Window, pixel_mm: float = 1.0, nodule_share: np.ndarray | None = None
) -> Anatomy:
    """Everything that is measured in a noise-free slice.

    Parameters
    ----------
    hu
        [N, N] in HU, not clipped.
    window
        HU that map to 0 and 1.
    pixel_mm
        Side of a pixel in mm.
    nodule_share
        Share of each pixel that is nodule, [N, N]; ``None`` where it is not known.
    """
    unit, measured = window.unit(hu), inside(hu, window)
    body = body_mask(unit)
    masks = {name: mask & measured for name, mask in regions(unit, window, body).items()}
    nodules = () if nodule_share is None else find_nodules(nodule_share, hu, window, pixel_mm)
    return Anatomy(
        masks,
        rim(unit, body=body),
        lung_border(window.hu(unit), body, measured),
        nodules,
        {name: mask & measured for name, mask in tissues(hu, body, pixel_mm).items()},
        find_edges(window.hu(unit), ndimage.binary_erosion(body, iterations=4, border_value=1)),
    )


def regions(truth: np.ndarray, window: Window, body: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Background, lung, soft tissue and bone of a noise-free slice [N, N] in [0, 1].

    Each is eroded by two pixels; bone (and what is as dense, such as contrast agent) by one, since ribs are thin. ``body`` is
    the body mask of the slice where it is known.
    """
    body = body_mask(truth) if body is None else body
    hu = ndimage.gaussian_filter(window.hu(truth), 1.0)
    air, bone = hu < LUNG_BELOW_HU, hu > BONE_ABOVE_HU
    masks = {"background": ~body, "lung": body & air, "tissue": body & ~air & ~bone, "bone": body & bone}
    # Edges hold misplaced structure, which is no noise. The image's own border is no edge.
    return {
        name: ndimage.binary_erosion(mask, iterations=1 if name == "bone" else 2, border_value=1)
        for name, mask in masks.items()
    }


def tissues(hu: np.ndarray, body: np.ndarray, pixel_mm: float) -> dict[str, np.ndarray]:
    """Fat, muscle and the air of large airways of a noise-free slice in HU [N, N], without their edges.

    An airway is air below :data:`AIRWAY_BELOW_HU` of a size of :data:`AIRWAY_MM2` with a wall all around; emphysema has none.
    """
    smooth = ndimage.gaussian_filter(hu.astype(np.float64), 1.0)
    masks = {
        name: ndimage.binary_erosion(body & (smooth >= low) & (smooth <= high)) for name, (low, high) in TISSUES_HU.items()
    }
    airway = np.zeros(hu.shape, bool)
    labels, n = ndimage.label(body & (smooth < AIRWAY_BELOW_HU))
    areas = np.bincount(labels.ravel(), minlength=n + 1) * pixel_mm**2
    wall = max(1, round(2.0 / pixel_mm))
    for i in np.flatnonzero((areas >= AIRWAY_MM2[0]) & (areas <= AIRWAY_MM2[1])):
        lumen = labels == i
        around = ndimage.binary_dilation(lumen, iterations=wall + 1) & ~ndimage.binary_dilation(lumen, iterations=wall)
        if i and np.median(smooth[around]) > WALL_ABOVE_HU:
            airway |= lumen
    return {**masks, "airway": ndimage.binary_erosion(airway)}


def inside(hu: np.ndarray, window: Window) -> np.ndarray:
    """Pixels of a slice in HU, any shape, that are inside of the window, its ends included."""
    return (hu >= window.low) & (hu <= window.high)


def rim(truth: np.ndarray, width: int = 4, body: np.ndarray | None = None) -> np.ndarray:
    """Pixels at most ``width`` away from the outline of the body, on either side, in a noise-free slice [N, N] in [0, 1].

    Breathing moves them most, and a common mask can pair misaligned pixels there. ``body`` is as for :func:`regions`.
    """
    body = body_mask(truth) if body is None else body
    outer = ndimage.binary_dilation(body, iterations=width)
    return outer & ~ndimage.binary_erosion(body, iterations=width, border_value=1)


def find_nodules(
    share: np.ndarray, hu: np.ndarray, window: Window, pixel_mm: float, least: int = 3
) -> tuple[Nodule, ...]:
    """Nodules of a slice, each with a ring of bare lung around it.

    Parameters
    ----------
    share
        Share of each pixel that is nodule, [N, N]; pixels over one half belong to the nodule.
    hu, window, pixel_mm
        As for :func:`anatomy`.
    least
        Pixels that a nodule needs.
    """
    labels, n = ndimage.label(share > 0.5, np.ones((3, 3), bool))
    nodules = []
    for i in range(1, n + 1):
        nodule = labels == i
        if nodule.sum() < least:
            continue
        distance_mm = ndimage.distance_transform_edt(~nodule) * pixel_mm
        # Vessels and the chest wall are no background.
        bare = (share < 0.01) & (hu < -700.0) & inside(hu, window)
        around = bare & (distance_mm >= NODULE_RING_MM[0]) & (distance_mm <= NODULE_RING_MM[1])
        if around.sum() >= LEAST_PIXELS:
            nodules.append(Nodule(nodule, around))
    return tuple(nodules)
