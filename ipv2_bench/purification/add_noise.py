"""Module 2 (Add Noise, §3.2): simulated noise in the NDCT, as strong as that of the uLDCT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench import physics
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ipv2_bench.data.slices import SliceSet


ONCE = (0, "add noise", 0)
"""What the one draw of a slice is seeded with, before its index."""


@dataclass(frozen=True)
class AddNoise:
    """A(n), the NDCT with simulated low-dose noise.

    Attributes
    ----------
    window
        HU window of the slices.
    acquisition
        The simulated scan: cosine filter, no bow-tie, no electronic noise, so not the scanner of the second scan. Its
        noise is inserted at 2 % dose into the NDCT, which has noise of its own.
    dose_model
        ``physical`` (in HU, calibrated), or ``published`` (the public script: fixed flux, each slice stretched).
    redraw
        New noise for a slice at every epoch. ``False``: one draw for each slice, as the authors wrote their images once.

    Raises
    ------
    ValueError
        For an unknown ``dose_model``.
    """

    window: Window
    acquisition: Acquisition = Acquisition(photons=1.5e5, filter_name="cosine", dose=0.02, inserted=True)
    dose_model: str = "physical"
    redraw: bool = True

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
        """NDCT with noise, clipped to [0, 1].

        Parameters
        ----------
        normal
            NDCT, [B, 1, N, N] in [0, 1].
        pixel_mm
            Side of a pixel in mm, [B].
        generators
            One per slice, on the slices' device.
        integrals
            Rows of :meth:`integrals` for these slices where they are known, [B, views, detectors].

        Returns
        -------
        Tensor
            [B, 1, N, N], float32 in [0, 1].
        """
        from ipv2_bench.physics.published import published_low_dose
        from ipv2_bench.physics.scanner import scan_noise

        if self.dose_model == "published":
            return published_low_dose(normal[:, 0], generators)[:, None]
        hu = self.window.hu(normal[:, 0])
        noise = scan_noise(hu, pixel_mm, self.acquisition, generators, integrals)
        return self.window.unit(hu + noise)[:, None]

    def integrals(self, slices: SliceSet) -> np.ndarray | None:
        """Line integrals of every NDCT, [n, views, detectors] float32, kept on disk; ``None`` for the published model."""
        if self.dose_model == "published":
            return None

        import torch

        from ipv2_bench.physics.scanner import line_integrals

        def of_slice(i: int) -> np.ndarray:
            hu = self.window.hu(torch.from_numpy(np.array(slices.normal[i]))[None])
            mm = torch.tensor([slices.pixel_mm[i]], dtype=torch.float32)
            return line_integrals(hu, mm, self.acquisition)[0].numpy()

        settings = [asdict(self.window), self.acquisition.views, self.acquisition.kilovolt, physics.VERSION]
        return slices.derive(f"integrals-{digest(settings)}", of_slice)

    def drawn(self, slices: SliceSet) -> np.ndarray | None:
        """A(n) of every slice where it is drawn once, [n, N, N] float32 in [0, 1], kept on disk; ``None`` with ``redraw``."""
        if self.redraw:
            return None
        import torch

        from ipv2_bench.physics.seeding import torch_generator

        def of_slice(i: int) -> np.ndarray:
            normal = torch.from_numpy(np.array(slices.normal[i]))[None, None]
            mm = torch.tensor([slices.pixel_mm[i]], dtype=torch.float32)
            return self(normal, mm, [torch_generator(*ONCE, i)])[0, 0].numpy()

        return slices.derive(f"drawn-{digest([self.identity(), physics.VERSION])}", of_slice)

    def identity(self) -> dict:
        """Settings that determine A(n), as plain JSON values."""
        return asdict(self)
