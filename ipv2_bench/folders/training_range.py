"""Whether slices are like those that a denoiser was trained on: their noise, their kernel, their size and their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from ipv2_bench.data.findings import Unusable
from ipv2_bench.data.formats.volumes import read_volume
from ipv2_bench.folders.model import Model
from ipv2_bench.folders.stacks import SliceFile, load_slice
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.noise_level import tissue_grain, tissue_noise

LOOKED_AT = 8
"""Slices that are looked at, spread over the input."""


@dataclass
class Seen:
    """What was measured in some slices of the input.

    Attributes
    ----------
    noise_hu
        Noise in soft tissue of those that show enough of it.
    grain
        How fine that noise is.
    pixel_mm
        Side of a pixel of those that state it.
    sizes
        Numbers of pixels along their longer side.
    """

    noise_hu: list[float] = field(default_factory=list)
    grain: list[float] = field(default_factory=list)
    pixel_mm: list[float] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)

    def look(self, unit: np.ndarray, window: Window, pixel_mm: float | None) -> None:
        """Take one slice [H, W] in [0, 1] of the window into account."""
        self.sizes.add(max(unit.shape))
        if pixel_mm is not None:
            self.pixel_mm.append(pixel_mm)
        level = tissue_noise(unit)
        if level is not None:
            self.noise_hu.append(level * window.width)
        share = tissue_grain(unit)
        if share is not None:
            self.grain.append(share)

    def notes(self, model: Model) -> list[str]:
        """What a user should know, in words; nothing where nothing could be measured."""
        texts = []
        if self.noise_hu:
            noise, n = median(self.noise_hu), len(self.noise_hu)
            of = f"median of {n} slices" if n > 1 else "one slice"
            compared = _compared(noise, model.noise_hu, model.title, "HU")
            texts.append(f"noise of the input in soft tissue: {noise:.0f} HU ({of}){compared}")
        if self.grain and model.grain is not None:
            share = median(self.grain)
            if not model.grain[0] <= share <= model.grain[1]:
                kernel = "softer" if share < model.grain[0] else "sharper"
                compared = _compared(share, model.grain, model.title, "of fine grain")
                texts.append(f"kernel of the input: {kernel} than in training, {share:.2g} of fine grain{compared}")
        if self.pixel_mm and model.pixel_mm is not None:
            side = median(self.pixel_mm)
            if not model.pixel_mm[0] <= side <= model.pixel_mm[1]:
                texts.append(f"pixels of the input: {side:.3g} mm{_compared(side, model.pixel_mm, model.title, 'mm')}")
        if model.size and self.sizes - {model.size}:
            used = ", ".join(f"{s}×{s}" for s in sorted(self.sizes))
            texts.append(
                f"trained at {model.size}×{model.size}, used at {used}: grain and sharpness may not be those of its table"
            )
        return texts


def seen_first(source: Path, stacks: Sequence[Sequence[SliceFile]], volumes: Sequence[str], window: Window) -> Seen:
    """What some slices of a folder are like, before they are denoised; of volumes the first one is looked at.

    Files that cannot be used are passed over here, and reported when they are denoised.
    """
    seen = Seen()
    files = [file for stack in stacks for file in stack]
    for i in np.unique(np.linspace(0, len(files) - 1, min(len(files), LOOKED_AT)).astype(int)) if files else ():
        try:
            one = load_slice(source / files[i].name, files[i].dicom, window)
        except Unusable:
            continue
        seen.look(one.unit, window, one.pixel_mm)
    for name in volumes[:1]:
        try:
            volume = read_volume(source / name)
        except Unusable:
            continue
        n = len(volume.hu)
        for i in np.unique(np.linspace(0, n - 1, min(n, LOOKED_AT)).astype(int)):
            seen.look(window.unit(volume.hu[i]), window, volume.pixel_mm)
    return seen


def _compared(value: float, trained: tuple[float, float] | None, title: str, unit: str) -> str:
    if trained is None:
        return ""
    low, high = trained
    range_ = f"{low:.3g} to {high:.3g} {unit}"
    if low <= value <= high:
        return f", within what {title} was trained on ({range_})"
    return f", outside of what {title} was trained on ({range_}): look at the result before you use it"
