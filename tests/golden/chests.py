"""A small fixed image set with truth, nodules and labels, in whole steps of 8 bit so that no rounding differs between CPUs."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ipv2_bench.metrics.anatomy import anatomy
from ipv2_bench.metrics.base import SliceTruth
from ipv2_bench.physics.intensity import Window

SIZE = 96
PIXEL_MM = 400.0 / SIZE
SLICES = 8
"""As many as an extrapolation to infinitely many images needs."""

HU = {"air": -1000.0, "water": 0.0, "lung": -850.0, "vessel": -120.0, "bone": 330.0, "nodule": -60.0}
"""Values of the parts of a chest; air is 0 and the upper end of the window 1."""


class Chests(NamedTuple):
    """Images [8, 96, 96] in [0, 1], float32, and the share of each pixel that is nodule.

    ``truth`` is free of noise, ``low`` is the uLDCT, ``denoised`` is smoother, ``normal`` is the label after another breath;
    ``low_hu`` is the uLDCT in HU without clipping, in steps of 1/8 HU.
    """

    truth: np.ndarray
    low: np.ndarray
    denoised: np.ndarray
    normal: np.ndarray
    nodules: np.ndarray
    low_hu: np.ndarray

    def slice_truths(self) -> list[SliceTruth]:
        """What measures against the truth take."""
        window = Window()
        return [
            SliceTruth(hu, low_hu, anatomy(hu, window, PIXEL_MM, share), window, PIXEL_MM)
            for hu, low_hu, share in zip(window.hu(self.truth), self.low_hu, self.nodules, strict=True)
        ]


@lru_cache(maxsize=1)
def chests() -> Chests:
    """The image set; no test may write to its arrays."""
    rng = np.random.default_rng(11)
    sections = [_section(i, 0.0) for i in range(SLICES)]
    truth = _in_8bit(np.stack([hu for hu, _ in sections]))
    low_hu = _hu(truth) + 110.0 * ndimage.gaussian_filter(rng.standard_normal(truth.shape), (0, 0.5, 0.5))
    low = _in_8bit(low_hu)
    denoised = _in_8bit(ndimage.gaussian_filter(_hu(low), (0, 0.9, 0.9)) + 4.0)
    normal = _in_8bit(np.stack([_section(i, 0.02)[0] for i in range(SLICES)]) + 15.0 * rng.standard_normal(truth.shape))
    nodules = np.stack([share for _, share in sections]).astype(np.float32)
    return Chests(truth, low, denoised, normal, nodules, (np.rint(8.0 * low_hu) / 8.0).astype(np.float32))


def _section(index: int, breath: float) -> tuple[np.ndarray, np.ndarray]:
    """HU of a chest, and share of nodule; drawn twice as fine and averaged, so that edges are soft."""
    fine = 2 * SIZE
    at = (np.arange(fine) - (fine - 1) / 2) / (fine / 2)

    def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
        return ((at[None] - x) / a) ** 2 + ((at[:, None] - y) / b) ** 2 <= 1

    wide = 0.011 * index + breath
    hu = np.where(ellipse(0.01, 0.02, 0.83 + wide, 0.67 + wide), HU["water"], HU["air"])
    for side in (-1.0, 1.0):
        hu[ellipse(0.41 * side, 0.013, 0.26 + 0.5 * wide, 0.43 + wide)] = HU["lung"]
        hu[ellipse((0.36 + breath) * side, 0.1, 0.03, 0.05)] = HU["vessel"]
    hu[ellipse(0.0, 0.5, 0.11, 0.1)] = HU["bone"]
    nodule = ellipse(0.43 + 0.01 * index, -0.2 + breath, 0.055, 0.055) if index % 2 else np.zeros((fine, fine), bool)
    hu[nodule] = HU["nodule"]
    soft = ndimage.gaussian_filter(hu, 1.3)
    return tuple(x.reshape(SIZE, 2, SIZE, 2).mean((1, 3)) for x in (soft, nodule.astype(np.float64)))  # type: ignore[return-value]


def _in_8bit(hu: np.ndarray) -> np.ndarray:
    """HU in [0, 1] in whole steps of 8 bit."""
    return (np.rint(np.clip((hu + 1000.0) / 1400.0, 0.0, 1.0) * 255) / 255).astype(np.float32)


def _hu(unit: np.ndarray) -> np.ndarray:
    return unit.astype(np.float64) * 1400.0 - 1000.0
