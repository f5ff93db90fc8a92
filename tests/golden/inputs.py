"""Small fixed slices for golden tests, from NumPy alone, in whole steps of 8 bit so that no rounding differs between CPUs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

SIZE = 64
PIXEL_MM = 5.5
"""Side of a pixel in mm: 64 of them cover a chest."""


def _ellipse(size: int, x: float, y: float, a: float, b: float) -> np.ndarray:
    """Pixels inside of an ellipse, in halves of the side."""
    at = (np.arange(size) - (size - 1) / 2) / (size / 2)
    return ((at[None] - x) / a) ** 2 + ((at[:, None] - y) / b) ** 2 <= 1


def _section(size: int, breath: float) -> np.ndarray:
    """A chest with two lungs, vessels, a spine and a table, [size, size] in [0, 1]; ``breath`` moves and widens it."""
    image = np.zeros((size, size))
    image[_ellipse(size, 0.0, 0.02, 0.86 + breath, 0.66 + breath)] = 0.74
    for side in (-1, 1):
        image[_ellipse(size, 0.4 * side, 0.0, 0.27 + breath, 0.42 + breath)] = 0.12
        image[_ellipse(size, (0.36 + breath) * side, 0.1, 0.05, 0.07)] = 0.72
        image[_ellipse(size, (0.5 + breath) * side, -0.2, 0.04, 0.04)] = 0.66
    image[_ellipse(size, 0.0, 0.45, 0.1, 0.1)] = 0.93
    image[size - size // 10 : size - size // 20] = 0.6  # the table parts the lower corners from the upper ones
    return image


@lru_cache(maxsize=2)
def slices(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """uLDCT and NDCT of two patients, float32 [2, size, size] in [0, 1], misaligned and with noise."""
    rng = np.random.default_rng(7)
    low = [_section(size, breath) + 0.06 * rng.standard_normal((size, size)) for breath in (0.02, -0.015)]
    normal = [_section(size, 0.0) + 0.01 * rng.standard_normal((size, size)) for _ in range(2)]
    low_8bit, normal_8bit = (np.rint(np.clip(np.stack(x), 0, 1) * 255) for x in (low, normal))
    return (low_8bit / 255).astype(np.float32), (normal_8bit / 255).astype(np.float32)


def batch(size: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """The slices as a batch, [2, 1, size, size]."""
    low, normal = slices(size)
    return torch.from_numpy(low)[:, None].to(dtype), torch.from_numpy(normal)[:, None].to(dtype)


def fill(module: torch.nn.Module, seed: int = 0) -> None:
    """Give a module fixed weights of usual size that are nowhere zero, the same on any machine.

    The vectors by which a spectral norm estimates the largest singular value start from equal numbers.
    """
    for name, vector in module.named_buffers():
        if name.endswith(("._u", "._v")):
            vector.fill_(len(vector) ** -0.5)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for weight in module.parameters():
            values = rng.uniform(-1, 1, tuple(weight.shape))
            if weight.ndim > 1:
                values *= np.sqrt(3.0 / np.prod(weight.shape[1:]))
            else:
                values = 0.5 + 0.2 * values
            weight.copy_(torch.from_numpy(values))
