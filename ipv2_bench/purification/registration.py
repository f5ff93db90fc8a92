"""Deformable registration of slices or whole series by cubic B-splines (Rueckert et al., IEEE TMI 1999) with SimpleITK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ipv2_bench.data.hu_images import HuImages

    Images = HuImages | np.ndarray

LEVELS = ((4, 2.0), (2, 1.0), (1, 0.0))
"""Shrinking and smoothing of each level, in pixels."""

FEWEST = 4
"""Slices of a series that can be registered as a volume."""


def registration(
    low: np.ndarray, normal: np.ndarray, k: int, smooth: float, knots: Sequence[int], distance: float = 1.0
) -> np.ndarray:
    """The motion from the uLDCT to the NDCT on a grid of k×k pixels a slice and in its pixels and slices.

    Mattes' mutual information and L-BFGS-B on three levels. Noise at 2 % dose would hide the anatomy from any registration at
    full resolution; averaged to the grid and smoothed it does not.

    Parameters
    ----------
    low, normal
        A slice each, [N, N], or a series, [S, N, N].
    k
        Pixels of the grid along a side of a slice.
    smooth
        Standard deviation of the Gaussian that slices are smoothed with, in pixels of the grid.
    knots
        Intervals of the splines: rows and columns, for a series slices before them.
    distance
        Of neighbouring slices, in pixels of the grid.

    Returns
    -------
    np.ndarray
        [2, k, k] (rows, columns) or [3, S, k, k] (slices, rows, columns), float32.
    """
    import SimpleITK as sitk
    import torch
    from scipy import ndimage

    spatial = low.ndim
    both = torch.from_numpy(np.stack([low, normal])).reshape(-1, 1, *low.shape[-2:])
    coarse = torch.nn.functional.interpolate(both, size=(k, k), mode="area").reshape(2, *low.shape[:-2], k, k).numpy()
    sigma = (0.0,) * (spatial - 2) + (smooth, smooth)
    fixed, moving = (sitk.GetImageFromArray(ndimage.gaussian_filter(x, sigma) if smooth else x) for x in coarse)
    for image in (fixed, moving):
        image.SetSpacing((1.0, 1.0, distance)[:spatial])
    splines = sitk.BSplineTransformInitializer(fixed, list(reversed(knots)), 3)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in one order
    method.SetMetricAsMattesMutualInformation(32)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=60)
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in LEVELS])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in LEVELS])
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(splines, True)
    method.Execute(fixed, moving)
    grid = (fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection())
    field = sitk.GetArrayFromImage(sitk.TransformToDisplacementField(splines, sitk.sitkVectorFloat64, *grid))
    field = np.moveaxis(field, -1, 0)[::-1]  # ITK names columns first
    if spatial == 3:
        field = field / np.array([distance, 1.0, 1.0])[:, None, None, None]
    return field.astype(np.float32)


def at_full_size(motion: np.ndarray, size: int) -> np.ndarray:
    """A motion on a grid [2, k, k] on and in the pixels of a slice, [2, N, N] float32, linear between the grid's."""
    import torch

    grid = torch.from_numpy(np.array(motion))[None] * (size / motion.shape[-1])
    return torch.nn.functional.interpolate(grid, size=(size, size), mode="bilinear", align_corners=False)[0].numpy()


def warped(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A slice [N, N] at the places that a motion [2, k, k] points to, cubic, clipped to the slice's range; float32."""
    from scipy import ndimage

    size = image.shape[-1]
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    dense = at_full_size(motion, size)
    moved = ndimage.map_coordinates(image, [rows + dense[0], columns + dense[1]], order=3, mode="nearest")
    return moved.clip(image.min(), image.max()).astype(np.float32)


def warped_in_series(images: Images, at: int, motion: np.ndarray, series: Sequence[int]) -> np.ndarray:
    """A slice of a series at the places that its motion [3, k, k] (slices, rows, columns) points to, float32.

    Cubic within slices and linear between them, as they lie far apart; only the slices that it needs are read.

    Parameters
    ----------
    images
        Slices, [n, N, N].
    at
        Index of the slice.
    motion
        Its motion, in slices and in pixels of the grid.
    series
        Indices of the series' slices, one after the other.
    """
    size = images.shape[-1]
    through = at_full_size(np.stack([motion[0], motion[0]]) * (motion.shape[-1] / size), size)[0]
    places = (at + through).clip(series[0], series[-1])
    result = np.zeros((size, size), np.float32)
    for z in range(int(places.min()), int(np.ceil(places.max())) + 1):
        weight = (1 - np.abs(places - z)).clip(0, 1)
        result += weight.astype(np.float32) * warped(images[z], motion[1:])
    return result


def folds(motion: np.ndarray) -> np.ndarray:
    """Where ``x + motion(x)`` folds: the determinant of its Jacobian is not positive; bool of the motion's places.

    ``motion`` is [2, k, k], or [3, S, k, k] of a series.
    """
    spatial = len(motion)
    slopes = np.gradient(motion, axis=tuple(range(1, spatial + 1)))
    jacobian = np.stack([np.stack(list(slope)) for slope in slopes])  # [by axis, component, places]
    jacobian = np.moveaxis(jacobian, (0, 1), (-1, -2)) + np.eye(spatial)
    return np.linalg.det(jacobian) <= 0


def folded_share(motion: np.ndarray) -> float:
    """Share of the places of a motion at which it folds."""
    return float(folds(motion).mean())
