"""Virtual scans written to disk, for training with other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ipv2_bench import registry
from ipv2_bench.data.dicom.output import NewSeries, Place, make_slice, write_dicom
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.formats.png import check_grey, write_png
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.second_scan import margins
from ipv2_bench.data.source import Source
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.errors import InputError
from ipv2_bench.files import holds_output, prepare_output
from ipv2_bench.fingerprint import settings_of
from ipv2_bench.physics.intensity import Window
from ipv2_bench.progress import track

if TYPE_CHECKING:
    from ipv2_bench.folders.second_scans import Rescanned

SIDES = {"lq": "low", "gt": "normal", "truth": "truth"}
"""Folder → image: the uLDCT, the NDCT, and the noise-free slice that the uLDCT shows."""

NAMES = {"lung": "lung", "tissue": "soft tissue"}
"""Regions in words."""

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Directions of rows and columns where the tags do not hold them: to the left and to the back of a patient."""


@dataclass(frozen=True)
class RegionNoise:
    """Noise in a region of slices.

    Attributes
    ----------
    region
        A key of :data:`NAMES`.
    before_hu, added_hu
        Standard deviation in HU of what the NDCT carried, 0 where that was not measured, and of what the scan added.
    """

    region: str
    before_hu: float
    added_hu: float

    @property
    def after_hu(self) -> float:
        """Standard deviation of both together."""
        return float(np.hypot(self.before_hu, self.added_hu))


@dataclass(frozen=True)
class Simulated:
    """What a virtual scan wrote.

    Attributes
    ----------
    written, present
        Slices written, and those that had been written before.
    series
        Number of series.
    dose
        Fraction of the series' own dose; ``None`` for a number of photons that was given.
    of_series
        Slices whose own noise does not tell their dose, so that the dose of their series was taken.
    noise
        Median over the slices that were written, by region.
    """

    written: int
    series: int
    present: int
    dose: float | None
    of_series: int
    noise: tuple[RegionNoise, ...]

    def text(self, out: Path) -> str:
        """The result in words."""
        lines = [f"{self.written} slices of {self.series} series scanned, {self.present} had been before: {out}"]
        if self.noise and self.dose is None:
            added = ", ".join(f"{NAMES[one.region]} {one.added_hu:.3g} HU" for one in self.noise)
            lines.append(f"noise that the scan added: {added}")
        if self.noise and self.dose is not None:
            words = [
                f"{NAMES[one.region]} {one.before_hu:.3g} → {one.after_hu:.3g} HU (×{one.after_hu / one.before_hu:.3g})"
                for one in self.noise
            ]
            lines.append(f"noise of the NDCT and of the uLDCT: {', '.join(words)}")
            lines.append(
                f"×{self.dose**-0.5:.3g} is the square-root law at {100 * self.dose:g} % of the own dose; few photons and the "
                "detector's own noise add to it"
            )
        if self.of_series:
            lines.append(f"{self.of_series} slices show too little to tell their dose: that of their series was taken")
        return "\n".join(lines)


def simulate_tree(
    options: Mapping[str, Any],
    window: Window,
    source: Path,
    out: Path,
    form: str,
    size: int = 0,
    grey: str = "round",
    dose: float | None = None,
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
    dose
        Fraction of the dose that the series' own noise tells (:mod:`ipv2_bench.folders.own_dose`), whatever the size: every slice
        is scanned at its own pixels, with the series' own kernel, and averaged then. ``None`` for the photons of the options.
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
    if dose is not None and not 0 < dose < 1:
        raise InputError(f"--dose is {dose:g}: expected a fraction of the series' own dose, above 0 and below 1")
    from ipv2_bench.folders.second_scans import SecondScans  # with torch: what is refused is refused at once

    scan: Any = registry.build(VirtualScan, Source, {**options, "root": str(source)}, "virtual scan")
    trees = read_tree(source, progress, scan.patients_by, wanted=scan.wanted)
    slices = [np.flatnonzero(lung_slices(one.hu, one.spacing_mm, scan.min_lung)).tolist() for one in trees]
    jobs = [(number, i) for number, of_series in enumerate(slices) for i in of_series]
    if not jobs:
        raise InputError(f"no slice shows lung over {scan.min_lung:.0%} of the body: lower data.min_lung")
    scans = SecondScans(scan, trees, slices, size, dose)
    of_output = ([source], "simulate", {"scan": scan.identity(), "as": [form, size, grey, settings_of(window), dose]})
    holds_output(out, *of_output)
    scans.prepare(progress)
    prepare_output(out, *of_output)
    written, present, of_series = 0, 0, 0
    noise: list[RegionNoise] = []
    for number, i in track(jobs, "virtual scan", enabled=progress):
        series = trees[number]
        # PNG in one folder, as paired_png reads them; DICOM in a folder for each series.
        name = f"{series.key}/{i:04d}.dcm" if form == "dicom" else f"{series.key}-{i:04d}.png"
        if all((out / side / name).exists() for side in SIDES):
            present += 1
            continue
        one = scans.scan(number, i)
        for side, attribute in SIDES.items():
            hu, path = cut_back(getattr(one.images, attribute), series.hu.shape[1:]), out / side / name
            if form == "dicom":
                photons = f"{scan.scanner.low_dose.photons:g} photons per mm of the detector"
                scanned = f"virtual scan, {photons if dose is None else f'{100 * dose:g} % of the own dose'}"
                title = {"lq": scanned, "gt": "NDCT", "truth": "aligned truth"}[side]
                at = list(SIDES).index(side) + 1
                new = NewSeries(series.patient, f"{side}-{series.key}", at, title, scan.scanner.low_dose.kilovolt)
                write_dicom(path, make_slice(hu, place_of(series, i, one.images.pixel_mm), new))
            else:
                write_png(path, window.unit(hu), 8 if form == "png8" else 16, grey)
        written += 1
        of_series += one.dose_of_series
        noise += _noise_of(one, dose)
    return Simulated(written, len(trees), present, dose, of_series, _medians(noise))


def _noise_of(one: Rescanned, dose: float | None) -> list[RegionNoise]:
    """Noise of a slice in the regions that it shows; at a dose, in those where the noise before is known."""
    from ipv2_bench.folders.own_dose import noise_regions

    images = one.images
    return [
        RegionNoise(region, one.noise_hu.get(region, 0.0), float((images.low - images.truth)[mask].std()))
        for region, mask in noise_regions(images.truth).items()
        if dose is None or region in one.noise_hu
    ]


def _medians(noise: Sequence[RegionNoise]) -> tuple[RegionNoise, ...]:
    """The median of each region."""
    medians = []
    for region in NAMES:
        own = [one for one in noise if one.region == region]
        if own:
            before, added = (float(np.median([getattr(one, name) for one in own])) for name in ("before_hu", "added_hu"))
            medians.append(RegionNoise(region, before, added))
    return tuple(medians)


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
