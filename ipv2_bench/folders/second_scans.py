"""Second scans of the slices of a tree: with a number of photons, or at a fraction of the dose that they were taken with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.findings import shown
from ipv2_bench.data.hu_images import rounded_hu
from ipv2_bench.data.second_scan import ScannedSlice, area_resize, check_slice, squared
from ipv2_bench.data.sources.virtual_scan import VirtualScan, scan_slice
from ipv2_bench.errors import InputError
from ipv2_bench.folders.own_dose import LARGEST_MISFIT, OwnDose, own_dose, own_kernel
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.progress import track

EXAMPLES = 3
"""Slices of a series that tell its kernel, and the dose of those whose own noise does not."""


@dataclass(frozen=True)
class Rescanned:
    """A slice scanned twice.

    Attributes
    ----------
    images
        uLDCT, NDCT and truth.
    noise_hu
        Standard deviation of the noise that the slice carried before, by region; empty where it was not measured.
    dose_of_series
        Whether its own noise did not tell its dose, so that the dose of its series was taken.
    """

    images: ScannedSlice
    noise_hu: dict[str, float] = field(default_factory=dict)
    dose_of_series: bool = False


@dataclass
class SecondScans:
    """Second scans of the slices of a tree.

    Attributes
    ----------
    source
        Scanner, motion and seed.
    series
        The series of the tree.
    slices
        Indices of the slices of each series that are scanned.
    size
        Pixels along a side of the results; 0 for the scanner's own.
    dose
        Fraction of the own dose; ``None`` for the photons of the source.
    """

    source: VirtualScan
    series: Sequence[Series]
    slices: Sequence[Sequence[int]]
    size: int
    dose: float | None
    _scanners: list[Acquisition] = field(default_factory=list)

    def prepare(self, progress: bool = True) -> None:
        """Measure the kernel and the dose of every series, so that what is not usable is refused before anything is written.

        Raises
        ------
        InputError
            When a slice is too small, or the noise of a series does not tell its dose.
        """
        for one in self.series:
            check_slice((max(one.hu.shape[1:]),) * 2, self.pixels_of(one))
        if self.dose is not None:
            numbers = track(range(len(self.series)), "dose of the series", unit="series", enabled=progress)
            self._scanners = [self._scanner_of(number) for number in numbers]

    def pixels_of(self, one: Series) -> int:
        """Pixels along a side of the results of a series."""
        return self.size or max(one.hu.shape[1:])

    def scan(self, number: int, index: int) -> Rescanned:
        """Slice ``index`` of series ``number``, deformed and scanned again."""
        one, source = self.series[number], self.source
        job, size = source.job(one, index), self.pixels_of(one)
        if self.dose is None:
            return Rescanned(scan_slice(source.scanner, source.seed, size, job))
        scanner = self._scanners[number]
        own = self._own_dose(one, index, size, scanner)
        photons = scanner.photons if own is None else own.photons
        at_dose = replace(scanner, photons=photons, dose=self.dose, inserted=True)
        # Scanned at its own pixels, where its noise is known, and averaged then.
        images = scan_slice(replace(source.scanner, low_dose=at_dose), source.seed, len(job.hu), job)
        stack = torch.from_numpy(np.stack([images.low, images.normal, images.truth]))
        low, normal, truth = (rounded_hu(image) for image in area_resize(stack, size).numpy())
        averaged = ScannedSlice(low, normal, truth, images.pixel_mm * len(job.hu) / size)
        return Rescanned(averaged, {} if own is None else own.hu, own is None)

    def _scanner_of(self, number: int) -> Acquisition:
        """The scanner with the kernel of a series, and the photons of its middle slices."""
        one, source, slices = self.series[number], self.source, self.slices[number]
        if not slices:
            return source.scanner.low_dose
        # In the middle of equal parts of the series: its ends show shoulders and liver.
        chosen = sorted({slices[(2 * k + 1) * len(slices) // (2 * EXAMPLES)] for k in range(EXAMPLES)})
        images = [squared(one.hu[i]) for i in chosen]
        kernel = own_kernel(images, one.spacing_mm, source.scanner.low_dose, source.seed, one.key)
        name, remedy = shown(one.names[chosen[0]]), "so that its dose is not known: give data.photons instead of --dose"
        if kernel is None:
            raise InputError(f"the series of {name} carries no noise that can be measured, {remedy}")
        if kernel.misfit > LARGEST_MISFIT:
            raise InputError(
                f"the noise of the series of {name} is not that of a reconstruction filter (misfit {kernel.misfit:.2g}, at most "
                f"{LARGEST_MISFIT:g}), as after denoising or resampling, {remedy}"
            )
        doses = [self._own_dose(one, i, max(one.hu.shape[1:]), kernel.scanner) for i in chosen]
        return replace(kernel.scanner, photons=float(np.median([own.photons for own in doses if own is not None])))

    def _own_dose(self, one: Series, index: int, size: int, scanner: Acquisition) -> OwnDose | None:
        return own_dose(squared(one.hu[index]), one.spacing_mm, size, scanner, self.source.seed, one.key, index)
