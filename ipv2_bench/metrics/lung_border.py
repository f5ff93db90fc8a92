"""The border between lung and soft tissue of a slice: pixels near it, their distance to it, and the piece that is nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import find_contours

LUNG_BELOW_HU = -400.0
"""HU below which tissue is lung."""

REACH, STEP = 7.0, 0.25
"""Distance from the border up to which its profile is measured, and width of a bin, in pixels."""

LARGEST_SHIFT = 3.0
"""Largest displacement of a border that is found, in pixels."""

PIECE = 16.0
"""Length of a piece of the border in pixels: long enough that noise hardly moves it, short enough to be displaced as a whole."""

LEAST_BORDER = 40.0
"""Length in pixels up to which a border belongs to a vessel or airway and not to the lung."""

LEAST_POINTS = 20
"""Points of contour that a slice's border needs to be measured."""


@dataclass(frozen=True)
class LungBorder:
    """Pixels near the border of the lung, at most :data:`REACH` + :data:`LARGEST_SHIFT` away from it.

    Attributes
    ----------
    pixels
        Flat index of each, [k]; empty where the slice shows no border.
    distance
        Distance to the border in pixels, negative in the lung, [k].
    normal
        Unit vector (row, column) from the lung into the tissue at the nearest point of the border, [2, k].
    piece
        Number of the nearest piece of border, from 0 on, [k].
    """

    pixels: np.ndarray
    distance: np.ndarray
    normal: np.ndarray
    piece: np.ndarray


def lung_border(hu: np.ndarray, body: np.ndarray, measured: np.ndarray) -> LungBorder:
    """The border of the lung in a noise-free slice.

    It is the contour at −400 HU inside of the body, with subpixel accuracy, cut into pieces of about :data:`PIECE` pixels.

    Parameters
    ----------
    hu
        Slice in HU, [N, N].
    body
        Its body mask, boolean [N, N].
    measured
        Pixels that may be measured, boolean [N, N].
    """
    hu = hu.astype(np.float64)
    inside = ndimage.binary_erosion(body, iterations=4, border_value=1)
    points, pieces = _pieces([c for c in find_contours(hu, LUNG_BELOW_HU) if _arc(c)[-1] > LEAST_BORDER])
    nearest = np.rint(points).astype(int)
    use = inside[nearest[:, 0], nearest[:, 1]]
    if use.sum() < LEAST_POINTS:
        return LungBorder(np.zeros(0, np.int32), np.zeros(0), np.zeros((2, 0)), np.zeros(0, np.int32))
    points, normals = _refined(hu, points[use])
    pixels = np.argwhere(inside & measured)
    distance, point = KDTree(points).query(pixels, distance_upper_bound=REACH + LARGEST_SHIFT)
    near = np.isfinite(distance)
    pixels, point = pixels[near], point[near]
    # Along the normal, since points of the contour are up to a pixel apart.
    signed = ((pixels - points[point]) * normals[point]).sum(1)
    _, piece = np.unique(pieces[use][point], return_inverse=True)
    index = np.ravel_multi_index((pixels[:, 0], pixels[:, 1]), hu.shape)
    return LungBorder(index.astype(np.int32), signed, normals[point].T, piece.astype(np.int32))


def _refined(hu: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 2] of a contour moved onto that of a cubic spline through the pixels, and normals there, [n, 2].

    The contour of the straight lines between pixels is off by up to a tenth of a pixel, always so that the profile across it
    looks like a straight line: an image with a displaced border would seem sharper than the truth.
    """
    spline = ndimage.spline_filter(hu)

    def at(place: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(spline, place.T, prefilter=False, mode="nearest")

    step = np.eye(2) * 0.25
    for _ in range(2):
        slope = np.stack([at(points + s) - at(points - s) for s in step], axis=1) / 0.5
        steepness = np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1.0)
        move = (LUNG_BELOW_HU - at(points))[:, None] * slope / steepness**2
        points = points + move.clip(-0.5, 0.5)
    return points, slope / steepness


def bins() -> int:
    """Number of bins of a profile across the border, from −:data:`REACH` to :data:`REACH`."""
    return round(2.0 * REACH / STEP)


def _pieces(contours: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 2] of contours, and the number of the piece that each belongs to, [n]: equal lengths of about ``PIECE``."""
    numbers, first = [], 0
    for contour in contours:
        arc = _arc(contour)
        count = max(1, round(arc[-1] / PIECE))
        numbers.append(first + np.minimum((arc / arc[-1] * count).astype(int), count - 1))
        first += count
    if not contours:
        return np.zeros((0, 2)), np.zeros(0, int)
    return np.concatenate(contours), np.concatenate(numbers)


def _arc(contour: np.ndarray) -> np.ndarray:
    """Length of a contour [n, 2] from its first point to each, [n]."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(contour, axis=0), axis=1))])
