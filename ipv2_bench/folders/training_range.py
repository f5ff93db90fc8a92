"""Whether slices are like those that a denoiser was trained on: their noise and their pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

import numpy as np

from ipv2_bench.folders.model import Model
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.noise_level import tissue_noise

EVERY = 8
"""Of so many slices one is measured."""


@dataclass
class Seen:
    """What was measured in the input.

    Attributes
    ----------
    slices
        Number of slices that came by.
    noise_hu
        Noise in soft tissue of some of them.
    pixel_mm
        Side of a pixel of those that state it.
    """

    slices: int = 0
    noise_hu: list[float] = field(default_factory=list)
    pixel_mm: list[float] = field(default_factory=list)

    def look(self, unit: np.ndarray, window: Window, pixel_mm: float | None) -> None:
        """Take one slice [H, W] in [0, 1] of the window into account."""
        self.slices += 1
        if pixel_mm is not None:
            self.pixel_mm.append(pixel_mm)
        if self.slices % EVERY == 1:
            level = tissue_noise(unit)
            if level is not None:
                self.noise_hu.append(level * window.width)

    def notes(self, model: Model) -> list[str]:
        """What a user should know, in words; nothing where nothing could be measured."""
        texts = []
        if self.noise_hu:
            noise, n = median(self.noise_hu), len(self.noise_hu)
            of = f"median of {n} slices" if n > 1 else "one slice"
            compared = _compared(noise, model.noise_hu, model.title, "HU")
            texts.append(f"noise of the input in soft tissue: {noise:.0f} HU ({of}){compared}")
        if self.pixel_mm and model.pixel_mm is not None:
            side = median(self.pixel_mm)
            compared = _compared(side, model.pixel_mm, model.title, "mm")
            if "outside" in compared:
                texts.append(f"pixels of the input: {side:.3g} mm{compared}")
        return texts


def _compared(value: float, trained: tuple[float, float] | None, title: str, unit: str) -> str:
    if trained is None:
        return ""
    low, high = trained
    range_ = f"{low:.3g} to {high:.3g} {unit}"
    if low <= value <= high:
        return f", within what {title} was trained on ({range_})"
    return f", outside of what {title} was trained on ({range_}): look at the result before you use it"
