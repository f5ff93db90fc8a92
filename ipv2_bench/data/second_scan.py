"""The virtual second scan: a slice is breathed and scanned again at ultra-low dose, so the aligned truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.breathing import Breathing, deform
from ipv2_bench.physics.intensity import AIR_HU
from ipv2_bench.physics.scanner import Acquisition, scan_noise
from ipv2_bench.physics.seeding import numpy_generator, torch_generator


class ScannedSlice(NamedTuple):
    """One slice in HU, [N, N] float32 each, the side of a pixel in mm, and the share of each pixel that is nodule."""

    low: np.ndarray
    normal: np.ndarray
    truth: np.ndarray
    pixel_mm: float
    nodules: np.ndarray | None = None


@dataclass(frozen=True)
class SecondScan:
    """A scanner of its own: its noise differs from what module 2 adds in filter, bow-tie and electronic noise.

    Attributes
    ----------
    low_dose
        The 2 % acquisition. The sources set it to 70–220 HU of noise in the air and 95–310 HU in the lung at 128×128.
    normal_dose
        Acquisition that made the NDCT, for sources whose anatomy is noise-free; ``None`` where the NDCT is a real
        scan that carries its own noise.
    breathing
        Motion between the two.
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
        """Breathe ``hu`` [M, M] at its own resolution, bring both states to [size, size] and scan them.

        ``key`` seeds all that is drawn. ``nodules`` [M, M], true on them, breathe along. ``field`` [2, M, M] is the motion
        in pixels; without it one is drawn.
        """
        if field is None:
            field = self.breathing.displacement(hu.shape[0], pixel_mm, numpy_generator(*key, "breathing"))
        moved = deform(hu, field)
        both = area_resize(torch.from_numpy(np.stack([hu.astype(np.float32), moved])), size)
        pixel_mm = pixel_mm * hu.shape[0] / size
        normal, truth = both[:1], both[1:]
        mm = torch.tensor([pixel_mm])
        low = truth + scan_noise(truth, mm, self.low_dose, [torch_generator(*key, "low dose")])
        if self.normal_dose is not None:
            normal = normal + scan_noise(normal, mm, self.normal_dose, [torch_generator(*key, "normal dose")])
        share = None
        if nodules is not None:
            share = area_resize(torch.from_numpy(deform(nodules, field))[None], size)[0].numpy()
        return ScannedSlice(low[0].numpy(), normal[0].numpy(), truth[0].numpy(), pixel_mm, share)


def area_resize(images: Tensor, size: int) -> Tensor:
    """Average [B, M, M] over areas to [B, size, size]: what a detector with larger pixels sees."""
    return F.interpolate(images.clamp_min(AIR_HU)[:, None], size=(size, size), mode="area")[:, 0]
