"""Every conversion of intensity: Hounsfield units (HU), attenuation, unit range, network range, 8 and 16 bit.

Stored integers are converted where they are read and written: rescaled values of DICOM in ``data.dicom.pixels``, and the steps
of 1/8 HU of slice sets in ``data.hu_images``. Only annotations name torch, so that this is imported without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", "Tensor", np.ndarray)

MU_WATER_PER_MM = {80: 0.0227, 120: 0.0193}
"""Linear attenuation of water in 1/mm by tube voltage in kV, taken at the beam's effective energy: 50 keV for
80 kV and 70 keV for 120 kV (NIST XCOM, density 1 g/cm3: 0.2269/cm and 0.1929/cm)."""

AIR_HU = -1000.0

BONE_HU = {80: 2590.0, 120: 1602.0}
"""Cortical bone by tube voltage in kV, at the same energies (NIST XCOM, ICRU-44 cortical bone, 1.92 g/cm3)."""

SOFT_HU = 100.0
"""Up to here tissue is taken for water of another density, whose HU no voltage changes; above it holds a share of bone."""


@dataclass(frozen=True)
class Window:
    """The HU interval that the images of a benchmark cover; ``low`` maps to 0 and ``high`` to 1.

    Values outside are clipped, as they are in the 8-bit slices that the paper trains on.
    """

    low: float = -1000.0
    high: float = 400.0

    def __post_init__(self) -> None:
        if not self.high > self.low:
            raise ValueError(f"HU window [{self.low}, {self.high}] is empty: give low < high")

    @property
    def width(self) -> float:
        """HU per unit of intensity."""
        return self.high - self.low

    def unit(self, hu: Array) -> Array:
        """HU → [0, 1], clipped; any shape, dtype kept."""
        return ((hu - self.low) / self.width).clip(0.0, 1.0)

    def hu(self, unit: Array) -> Array:
        """[0, 1] → HU; the inverse of :meth:`unit` inside of the window. Nothing is clipped."""
        return unit * self.width + self.low


def to_network(unit: Tensor) -> Tensor:
    """[0, 1] → [−1, 1], the range of the flow-matching networks (arXiv 2510.07492, public code)."""
    return unit * 2.0 - 1.0


def from_network(x: Tensor) -> Tensor:
    """[−1, 1] → [0, 1]; the inverse of :func:`to_network`."""
    return (x + 1.0) * 0.5


def to_8bit(unit: np.ndarray, truncate: bool = False, step: float = 0.0) -> np.ndarray:
    """[0, 1] → uint8 0..255, rounded to nearest, or down with ``truncate``; values outside are clipped.

    Parameters
    ----------
    unit
        Values of any shape.
    truncate
        Round down. A level that :func:`from_8bit` gave stays itself, though k/255·255 may be a little less than k.
    step
        Steps that the values were rounded to before. What is less than half a step below a level may have been that level,
        and is not rounded down to the next one; where steps are as coarse as levels, that is the nearest level.
    """
    levels = np.clip(unit, 0.0, 1.0) * 255.0
    return (np.floor(levels + _slack(1e-3, 255.0 * step)) if truncate else np.rint(levels)).astype(np.uint8)


def _slack(rounding: float, step: float) -> float:
    """What is added to levels before they are rounded down: a rounding error and half a step, half a level at most."""
    return min(rounding + 0.5 * step, 0.5)


def from_8bit(image: np.ndarray) -> np.ndarray:
    """uint8 0..255 → float32 [0, 1]."""
    return image.astype(np.float32) / np.float32(255.0)


def to_16bit(unit: np.ndarray, truncate: bool = False, step: float = 0.0) -> np.ndarray:
    """[0, 1] → uint16 0..65535; see :func:`to_8bit`."""
    levels = np.clip(unit.astype(np.float64), 0.0, 1.0) * 65535.0
    return (np.floor(levels + _slack(1e-2, 65535.0 * step)) if truncate else np.rint(levels)).astype(np.uint16)


def from_16bit(image: np.ndarray) -> np.ndarray:
    """uint16 0..65535 → float32 [0, 1]."""
    return (image.astype(np.float64) / 65535.0).astype(np.float32)


def attenuation(hu: Tensor, mu_water: float) -> Tensor:
    """HU → linear attenuation in 1/mm; below air (−1000 HU) counts as air, since nothing absorbs less."""
    return (hu.clamp_min(AIR_HU) / 1000.0 + 1.0) * mu_water


def hounsfield(mu: Tensor, mu_water: float) -> Tensor:
    """Linear attenuation in 1/mm → HU."""
    return (mu / mu_water - 1.0) * 1000.0


def at_kilovolt(hu: Array, kilovolt: int) -> Array:
    """What a slice seen at 120 kV shows at another tube voltage: bone rises as the voltage falls, soft tissue and air stay.

    Above :data:`SOFT_HU` a pixel is a mixture of soft tissue and cortical bone, whose HU are mixed alike at both voltages.
    """
    bone, soft = BONE_HU[kilovolt], SOFT_HU
    return hu + ((bone - soft) / (BONE_HU[120] - soft) - 1.0) * (hu - soft).clip(0.0)
