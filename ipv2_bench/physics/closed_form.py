"""Exact projections of ellipses and the exact noise of filtered back-projection (FBP), to test approximations against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ipv2_bench.physics.filters import filter_window

Ellipse = tuple[float, float, float, float, float, float]
"""Value, centre x (right) and y (up), semi-axes, all in halves of the side, and rotation in radians."""

ELLIPSES: tuple[Ellipse, ...] = (
    (0.9, 0.0, 0.0, 0.62, 0.80, 0.3),
    (-0.4, 0.2, 0.1, 0.2, 0.35, 1.0),
    (0.5, -0.25, -0.3, 0.12, 0.1, 0.0),
)
"""A body with a hole and a nodule."""


def ellipse_image(size: int, ellipses: Sequence[Ellipse] = ELLIPSES, fine: int = 16) -> np.ndarray:
    """Image of ellipses, float64 [size, size], each pixel the mean over fine × fine points."""
    half = size / 2
    at = np.arange(size) - (size - 1) / 2
    offset = (np.arange(fine) + 0.5) / fine - 0.5
    x = (at[:, None] + offset).ravel()[None]
    image = np.zeros((size, size))
    for row in range(size):
        y = -(at[row] + offset)[:, None]
        for value, cx, cy, a, b, turn in ellipses:
            u = (x - cx * half) * np.cos(turn) + (y - cy * half) * np.sin(turn)
            v = (y - cy * half) * np.cos(turn) - (x - cx * half) * np.sin(turn)
            inside = (u / (a * half)) ** 2 + (v / (b * half)) ** 2 <= 1
            image[row] += value * inside.reshape(fine, size, fine).mean((0, 2))
    return image


def ellipse_sinogram(
    size: int, angles: np.ndarray, s: np.ndarray, ellipses: Sequence[Ellipse] = ELLIPSES
) -> np.ndarray:
    """Line integrals of the ellipses at angles [views] and distances s [cells] in pixels (Kak & Slaney, eq. 3.6)."""
    half = size / 2
    sinogram = np.zeros((len(angles), len(s)))
    for value, cx, cy, a, b, turn in ellipses:
        square = (a * half * np.cos(angles - turn)) ** 2 + (b * half * np.sin(angles - turn)) ** 2
        away = s[None] - half * (cx * np.cos(angles) + cy * np.sin(angles))[:, None]
        chord = np.sqrt(np.clip(square[:, None] - away**2, 0, None))
        sinogram += value * 2 * a * b * half**2 / square[:, None] * chord
    return sinogram


def noise_power(frequency: np.ndarray, views: int, filter_name: str, variance: float = 1.0) -> np.ndarray:
    """Noise power spectrum of FBP for line integrals with independent errors of one variance.

    Parameters
    ----------
    frequency
        |ν| in cycles per pixel, up to 0.5.
    views
        Angles over [0, π).
    filter_name
        One of :data:`ipv2_bench.physics.filters.FILTERS`.
    variance
        Variance of each line integral.

    Returns
    -------
    numpy.ndarray
        ``(π/views)·variance·|ν|·W(ν)²`` in squared units of the image times px², W the filter's window. The spectrum of a
        filtered view, |ν|²W², is given on lines through the origin, whose density falls with 1/|ν| (Riederer, Pelc &
        Chesler, Phys. Med. Biol. 23, 1978).
    """
    return np.pi / views * variance * frequency * filter_window(frequency, filter_name) ** 2


def noise_variance(views: int, filter_name: str, variance: np.ndarray | float = 1.0) -> float:
    """Variance of a pixel of an FBP image: the integral of :func:`noise_power` over the plane.

    ``variance`` may be an array [views]: the variances of the line integrals through the pixel, one per view, where it
    varies slowly from detector cell to cell.
    """
    nu = (np.arange(100_000) + 0.5) / 200_000
    return float(np.pi * np.mean(nu * noise_power(nu, views, filter_name)) * np.mean(variance))
