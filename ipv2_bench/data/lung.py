"""Selection of the slices of a CT series that show lung."""

from __future__ import annotations

import numpy as np


def lung_slices(hu: np.ndarray, spacing_mm: float, min_fraction: float = 0.02) -> np.ndarray:
    """Whether each slice shows aerated lung.

    Parameters
    ----------
    hu
        ``[n, H, W]`` in HU.
    spacing_mm
        Side of a pixel in mm, > 0.
    min_fraction
        Smallest share, in 0..1, of the body's area that is lung (-980 to -500 HU inside its outline).

    Returns
    -------
    np.ndarray
        bool ``[n]``.

    Raises
    ------
    ValueError
        When ``hu`` is not three-dimensional or ``spacing_mm`` is not positive.
    """
    from scipy import ndimage

    if hu.ndim != 3 or not spacing_mm > 0:
        raise ValueError(f"expected hu [n, H, W] and spacing_mm > 0, got {hu.shape} and {spacing_mm}")
    n, height, width = hu.shape
    # About 3 mm is fine enough for an area; block means also reduce the noise of sharp kernels.
    step = max(1, min(round(3.0 / spacing_mm), min(height, width) // 32))
    rows, columns = height // step, width // step
    shows_lung = np.zeros(n, dtype=bool)
    for i in range(n):
        blocks = hu[i, : rows * step, : columns * step].reshape(rows, step, columns, step)
        small = blocks.mean(axis=(1, 3), dtype=np.float32)
        # Opening removes the table and clothes, which would otherwise enclose air that looks like lung.
        filled = ndimage.binary_opening(ndimage.binary_fill_holes(small > -300), iterations=2)
        label, count = ndimage.label(filled)
        if count == 0:
            continue
        body = label == 1 + np.argmax(np.bincount(label.ravel())[1:])
        lung = body & (small >= -980) & (small <= -500)
        shows_lung[i] = lung.sum() >= min_fraction * body.sum()
    return shows_lung
