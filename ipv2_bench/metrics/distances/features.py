"""Two sets of features, checked before they are compared."""

from __future__ import annotations

import numpy as np


def of_one_extractor(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of features in float64, checked: any numbers of images, equal numbers of features."""
    a, b = features(a), features(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} features against {b.shape[1]}: expected the same extractor for both sets")
    return a, b


def paired(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of features in float64, checked: row i of both belongs to the same slice."""
    a, b = features(a), features(b)
    if a.shape != b.shape:
        raise ValueError(f"features {a.shape} against {b.shape}: expected the same slices and extractor for both sets")
    return a, b


def features(x: np.ndarray) -> np.ndarray:
    """Features in float64, checked: [images, features], at least two images, finite."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"features of shape {x.shape}: expected [images, features] with at least two images")
    if not np.isfinite(x).all():
        raise ValueError("features hold NaN or infinity: look for such values in the images of the set")
    return x
