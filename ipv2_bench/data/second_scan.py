"""Virtual second scan: a slice is deformed by breathing and scanned again at ultra-low dose; the aligned truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ipv2_bench.data.breathing import Breathing, deform
from ipv2_bench.data.hu_images import rounded_hu
from ipv2_bench.errors import InputError
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import AIR_HU, at_kilovolt
from ipv2_bench.physics.seeding import numpy_generator, torch_generator

if TYPE_CHECKING:
    from torch import Tensor


class ScannedSlice(NamedTuple):
    """One slice, scanned twice.

    Attributes
    ----------
    low, normal, truth
        uLDCT, NDCT before the motion, and the slice after the motion without the noise of ``low`` and as the NDCT's voltage
        shows it, [N, N] float64 in whole steps of 1/8 HU.
    pixel_mm
        Side of a pixel in mm.
    nodules
        Share of each pixel of ``truth`` that is lung nodule, [N, N] float64; ``None`` where it is not known.
    """

    low: np.ndarray
    normal: np.ndarray
    truth: np.ndarray
    pixel_mm: float
    nodules: np.ndarray | None = None


@dataclass(frozen=True)
class SecondScan:
    """Settings of the second scan. Its noise differs from that of module 2 in filter, bow-tie and electronic noise.

    Attributes
    ----------
    low_dose
        The 2 % acquisition. The sources set it to 70–220 HU of noise in the air and 95–310 HU in the lung at 128×128.
    normal_dose
        Acquisition of the NDCT, for sources whose anatomy is noise-free; ``None`` where the NDCT is a real scan that has
        its own noise.
    breathing
        Motion between the two scans.
    """

    low_dose: Acquisition
    normal_dose: Acquisition | None = None
    breathing: Breathing = Breathing()

    def scan(
        self,
        hu: np.ndarray,
        pixel_mm: float,
        size: int,
        *key: int | str,
        nodules: np.ndarray | None = None,
        field: np.ndarray | None = None,
    ) -> ScannedSlice:
        """Deform ``hu`` at its own resolution, average both states to [size, size] and scan them.

        Parameters
        ----------
        hu
            Slice [M, M] in HU.
        pixel_mm
            Side of its pixels in mm.
        size
            N, pixels along a side of the result.
        key
            Seed of everything that is drawn.
        nodules
            Pixels [M, M] of nodules, bool, deformed like ``hu``.
        field
            Motion [2, M, M] in pixels; a random one where it is ``None``.

        Raises
        ------
        InputError
            When the slice is not square, or smaller than ``size``.
        """
        import torch

        from ipv2_bench.physics.scanner import scan_noise

        check_slice(hu.shape, size)
        if field is None:
            field = self.breathing.displacement(hu.shape[0], pixel_mm, numpy_generator(*key, "breathing"))
        moved = deform(hu, field)
        # In float64 and rounded to the stored steps before anything is drawn: equal on every machine.
        averaged = area_resize(torch.from_numpy(np.stack([hu.astype(np.float64), moved])), size)
        before_and_after = torch.from_numpy(rounded_hu(averaged.numpy()))
        pixel_mm = pixel_mm * hu.shape[0] / size
        normal, truth = before_and_after[:1], before_and_after[1:]
        mm = torch.tensor([pixel_mm], dtype=torch.float64)
        seen = at_kilovolt(truth, self.low_dose.kilovolt)
        low = seen + scan_noise(seen, mm, self.low_dose, [torch_generator(*key, "low dose")])
        if self.normal_dose is not None:
            normal = normal + scan_noise(normal, mm, self.normal_dose, [torch_generator(*key, "normal dose")])
        share = None
        if nodules is not None:
            share = area_resize(torch.from_numpy(deform(nodules, field))[None], size)[0].numpy()
        low_hu, normal_hu, truth_hu = (rounded_hu(image[0].numpy()) for image in (low, normal, truth))
        return ScannedSlice(low_hu, normal_hu, truth_hu, pixel_mm, share)


def area_resize(images: Tensor, size: int) -> Tensor:
    """Images [B, M, M] averaged over areas to [B, size, size], as a detector with larger pixels measures them."""
    import torch.nn.functional as F

    return F.interpolate(images[:, None], size=(size, size), mode="area")[:, 0]


def squared(images: np.ndarray) -> np.ndarray:
    """Images [..., H, W] in HU as squares: with air on both sides, so that the middle stays in the middle."""
    top, left = margins(images.shape[-2:])
    height, width = images.shape[-2:]
    side = max(height, width)
    if height == width:
        return images
    around = [(0, 0)] * (images.ndim - 2) + [(top, side - height - top), (left, side - width - left)]
    return np.pad(images, around, constant_values=AIR_HU)


def margins(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows above and columns at the left that :func:`squared` adds to an image [H, W]."""
    side = max(shape)
    return (side - shape[0]) // 2, (side - shape[1]) // 2


def check_slice(shape: tuple[int, ...], size: int) -> None:
    """Refuse slices that cannot be averaged to [size, size].

    Raises
    ------
    InputError
        When they are not square, or smaller.
    """
    if shape[-2] != shape[-1] or shape[-1] < size:
        raise InputError(f"slices are {shape[-1]}×{shape[-2]}: expected at least {size}×{size} (data.size)")
