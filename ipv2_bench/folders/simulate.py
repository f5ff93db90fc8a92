"""Virtual scans written to disk, for training with other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench import registry
from ipv2_bench.data.dicom.output import NewSeries, Place, make_slice, write_dicom
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.formats.png import check_grey, write_png
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.second_scan import ScannedSlice, margins
from ipv2_bench.data.source import Source
from ipv2_bench.data.sources.virtual_scan import VirtualScan, scan_slice
from ipv2_bench.errors import InputError
from ipv2_bench.files import prepare_output
from ipv2_bench.fingerprint import settings_of
from ipv2_bench.physics.intensity import Window
from ipv2_bench.progress import track

SIDES = {"lq": "low", "gt": "normal", "truth": "truth"}
"""Folder → image: the uLDCT, the NDCT, and the noise-free slice that the uLDCT shows."""


UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Directions of rows and columns where the tags do not hold them: to the left and to the back of a patient."""


@dataclass(frozen=True)
class Simulated:
    """What a virtual scan wrote.

    Attributes
    ----------
    written, present
        Slices written, and those that had been written before.
    series
        Number of series.
    noise_hu
        Median noise in the lung of uLDCT and NDCT; NaN where no slice shows enough lung.
    """

    written: int
    series: int
    present: int
    noise_hu: tuple[float, float]

    def text(self, out: Path) -> str:
        """The result in words."""
        noise = "" if np.isnan(self.noise_hu[0]) else "; noise in the lung {:.3g} HU, NDCT {:.3g} HU".format(*self.noise_hu)
        lines = [f"{self.written} slices of {self.series} series scanned, {self.present} had been before{noise}: {out}"]
        if noise:
            lines.append("for more or less noise: data.photons=…")
        return "\n".join(lines)


def simulate_tree(
    options: Mapping[str, Any],
    window: Window,
    source: Path,
    out: Path,
    form: str,
    size: int = 0,
    grey: str = "round",
    progress: bool = True,
) -> Simulated:
    """Breathe every slice that shows lung and scan it again at ultra-low dose: ``OUT/{lq,gt,truth}``.

    Parameters
    ----------
    options
        Of ``virtual_scan``, but for its ``root``.
    window
        HU of the PNG.
    source
        Tree of NDCT DICOM series.
    out
        New folder, or one that the same command left unfinished.
    form
        ``png8``, ``png16`` or ``dicom`` (in whole HU, without window, under a pseudonym).
    size
        Pixels along a side; 0 for the scanner's own.
    grey
        ``round`` or ``truncate``, of PNG: see :func:`~ipv2_bench.data.formats.png.write_png`.
    progress
        Show bars.

    Raises
    ------
    InputError
        When the series are not usable, or ``out`` holds something else.
    """
    if form not in ("png8", "png16", "dicom"):
        raise InputError(f"--format is '{form}': use png8, png16 or dicom")
    check_grey(grey)
    if size < 0:
        raise InputError(f"--size is {size}: expected pixels along a side, or 0 for the scanner's own")
    scan: Any = registry.build(VirtualScan, Source, {**options, "root": str(source)}, "virtual scan")
    trees = read_tree(source, progress, scan.patients_by, wanted=scan.wanted)
    jobs = [
        (number, i)
        for number, series in enumerate(trees)
        for i in np.flatnonzero(lung_slices(series.hu, series.spacing_mm, scan.min_lung)).tolist()
    ]
    if not jobs:
        raise InputError(f"no slice shows lung over {scan.min_lung:.0%} of the body: lower data.min_lung")
    prepare_output(out, [source], "simulate", {"scan": scan.identity(), "as": [form, size, grey, settings_of(window)]})
    written, present = 0, 0
    noise: list[list[float]] = []
    for number, i in track(jobs, "virtual scan", enabled=progress):
        series = trees[number]
        # PNG in one folder, as paired_png reads them; DICOM in a folder for each series.
        name = f"{series.key}/{i:04d}.dcm" if form == "dicom" else f"{series.key}-{i:04d}.png"
        if all((out / side / name).exists() for side in SIDES):
            present += 1
            continue
        one = scan_slice(scan.scanner, scan.seed, size or max(series.hu.shape[1:]), scan.job(series, i))
        for side, attribute in SIDES.items():
            hu, path = cut_back(getattr(one, attribute), series.hu.shape[1:]), out / side / name
            if form == "dicom":
                scanned = f"virtual scan, {scan.scanner.low_dose.photons:g} photons per mm of the detector"
                title = {"lq": scanned, "gt": "NDCT", "truth": "aligned truth"}[side]
                number = list(SIDES).index(side) + 1
                new = NewSeries(series.patient, f"{side}-{series.key}", number, title, scan.scanner.low_dose.kilovolt)
                write_dicom(path, make_slice(hu, place_of(series, i, one.pixel_mm), new))
            else:
                write_png(path, window.unit(hu), 8 if form == "png8" else 16, grey)
        written += 1
        if len(noise) < 32:
            noise += _lung_noise(one, window)
    middle = np.median(noise, axis=0) if noise else (float("nan"), float("nan"))
    return Simulated(written, len(trees), present, (float(middle[0]), float(middle[1])))


def _lung_noise(one: ScannedSlice, window: Window) -> list[list[float]]:
    """Noise in the lung of uLDCT and NDCT in HU, before anything is clipped; empty where a slice shows too little of it."""
    from ipv2_bench.purification.noise_level import LEAST_PIXELS, lung_region, noise_level

    region = lung_region(*(window.unit(x) for x in (one.low, one.normal)))
    return [[noise_level(x, region) for x in (one.low, one.normal)]] if region.sum() >= LEAST_PIXELS else []


def cut_back(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A square slice without the margins that made it square, where pixels end where they did; else as it is.

    ``shape``: of the slice [H, W] before.
    """
    cut = _cut_of(len(image), shape)
    return image[cut] if cut else image


def _cut_of(size: int, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """What a slice of a shape fills of a square of ``size`` pixels; ``None`` where pixels straddle its ends."""
    ratio = max(shape) // size
    if ratio * size != max(shape) or any(n % ratio for n in (*margins(shape), *shape)):
        return None
    top, left = (n // ratio for n in margins(shape))
    return slice(top, top + shape[0] // ratio), slice(left, left + shape[1] // ratio)


def place_of(series: Series, i: int, pixel_mm: float) -> Place:
    """Where slice ``i`` of a series lies when its pixels are averaged to a side of ``pixel_mm``.

    The middle of the first pixel is then further in: by half of what the pixel has grown, along rows and columns.
    """
    axes = np.asarray(UPRIGHT if series.axes is None else series.axes, dtype=np.float64)
    rows, columns = axes.reshape(2, 3)
    corner = (0.0, 0.0) if series.corner_mm is None else series.corner_mm
    further = (pixel_mm - series.spacing_mm) / 2.0
    size = round(max(series.hu.shape[1:]) * series.spacing_mm / pixel_mm)
    # Where margins were added and not cut off again, the first pixel is further out.
    top, left = (0, 0) if _cut_of(size, series.hu.shape[1:]) else margins(series.hu.shape[1:])
    across = float(corner[0]) + further - left * series.spacing_mm
    down = float(corner[1]) + further - top * series.spacing_mm
    middle = across * rows + down * columns + float(series.position_mm[i]) * np.cross(rows, columns)
    return Place(middle, axes, pixel_mm, i + 1)
