"""Slices as integers on disk: steps of 1/8 HU, so that equal slices are equal on every machine; read as [0, 1] of a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.physics.intensity import Window

STEPS_PER_HU = 8
"""Stored steps in a Hounsfield unit; int16 then holds −4096 to 4095.9 HU."""


def to_steps(hu: np.ndarray) -> np.ndarray:
    """HU → stored integers, int16, rounded to nearest; what int16 cannot hold is clipped."""
    return _nearest(np.asarray(hu, dtype=np.float64) * STEPS_PER_HU).clip(-32768, 32767).astype(np.int16)


def rounded_hu(hu: np.ndarray) -> np.ndarray:
    """HU as they will be stored, float64."""
    return to_steps(hu) / float(STEPS_PER_HU)


def _nearest(x: np.ndarray) -> np.ndarray:
    """Rounded to nearest; halves go up, also those that are off by a rounding error, which differs between machines.

    Halves are no rare case: the mean of 4×4 pixels of whole HU has many.
    """
    return np.floor(x + (0.5 + 1e-6))


class HuImages:
    """Stored slices [n, N, N]: indexing gives float32 in [0, 1] of the window, :meth:`hu` the HU without any clipping.

    Parameters
    ----------
    path
        File of int16 steps, which is memory-mapped.
    window
        HU that map to 0 and 1.
    """

    def __init__(self, path: Path, window: Window) -> None:
        self._steps = np.load(path, mmap_mode="r", allow_pickle=False)
        self.window = window

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, N, N)."""
        return self._steps.shape

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Slices in [0, 1] of the window, float32, clipped; any NumPy index."""
        return self.window.unit(self.hu(index))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...] if dtype is None else self[...].astype(dtype)

    def hu(self, index: Any) -> np.ndarray:
        """Slices in HU, float32, as they are; any NumPy index."""
        return np.asarray(self._steps[index], dtype=np.float32) / np.float32(STEPS_PER_HU)


class Shares:
    """Stored shares of pixels [n, N, N], in steps of 1/255; indexing gives float32 in [0, 1]."""

    def __init__(self, path: Path) -> None:
        self._steps = np.load(path, mmap_mode="r", allow_pickle=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, N, N)."""
        return self._steps.shape

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Shares, float32; any NumPy index."""
        return np.asarray(self._steps[index], dtype=np.float32) / np.float32(255.0)


def to_share_steps(share: np.ndarray) -> np.ndarray:
    """Shares in [0, 1] → stored integers, uint8, rounded to nearest."""
    return _nearest(np.asarray(share, dtype=np.float64) * 255.0).clip(0, 255).astype(np.uint8)
