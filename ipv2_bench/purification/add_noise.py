"""Module 2 (Add Noise, §3.2): simulated noise in the NDCT, as strong as the uLDCT's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.fingerprint import code, digest
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import Acquisition, line_integrals, published_low_dose, scan_noise


@dataclass(frozen=True)
class AddNoise:
    """A(n).

    Attributes
    ----------
    window
        HU of the slices.
    acquisition
        The simulated scan: cosine filter, no bow-tie, no electronic noise, so not the scanner of the second scan. Its
        noise is inserted at 2 % dose into the NDCT, which carries its own.
    dose_model
        ``physical`` (in HU, calibrated), or ``published`` (the public script: fixed flux, each slice stretched).
    """

    window: Window
    acquisition: Acquisition = Acquisition(photons=1.5e5, filter_name="cosine", dose=0.02, inserted=True)
    dose_model: str = "physical"

    def __post_init__(self) -> None:
        if self.dose_model not in ("physical", "published"):
            raise ValueError(f"dose_model '{self.dose_model}' is unknown: use physical or published")

    def __call__(
        self,
        normal: Tensor,
        pixel_mm: Tensor,
        generators: Sequence[torch.Generator],
        integrals: Tensor | None = None,
    ) -> Tensor:
        """NDCT [B, 1, N, N] in [0, 1] → the same with noise, clipped to [0, 1]; one generator per slice.

        ``integrals`` are rows of :meth:`integrals` where they are at hand.
        """
        if self.dose_model == "published":
            return published_low_dose(normal[:, 0], generators)[:, None]
        hu = self.window.hu(normal[:, 0])
        noise = scan_noise(hu, pixel_mm, self.acquisition, generators, integrals)
        return self.window.unit(hu + noise)[:, None]

    def integrals(self, slices: SliceSet) -> np.ndarray | None:
        """Line integrals of every NDCT, [n, views, detectors] float32, kept on disk; ``None`` for the published model."""
        if self.dose_model == "published":
            return None

        def make(i: int) -> np.ndarray:
            hu = self.window.hu(torch.from_numpy(np.array(slices.normal[i]))[None])
            mm = torch.tensor([slices.pixel_mm[i]], dtype=torch.float32)
            return line_integrals(hu, mm, self.acquisition)[0].numpy()

        what = [asdict(self.window), self.acquisition.views, self.acquisition.kilovolt, code("physics")]
        return slices.derive(f"integrals-{digest(what)}", make)

    def identity(self) -> dict:
        """What determines A(n), as plain JSON values."""
        return asdict(self)
