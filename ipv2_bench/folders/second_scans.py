"""Second scans of the slices of a tree: with a number of photons, or at a fraction of the dose that they were taken with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.hu_images import rounded_hu
from ipv2_bench.data.second_scan import ScannedSlice, area_resize, check_slice, squared
from ipv2_bench.data.sources.virtual_scan import ScanJob, VirtualScan, scan_slice
from ipv2_bench.errors import InputError
from ipv2_bench.folders.own_dose import REGIONS, own_dose, own_kernel
from ipv2_bench.physics.acquisition import Acquisition

EXAMPLES = 3
"""Slices of a series that tell its kernel."""


@dataclass
class SecondScans:
    """Second scans of the slices of a tree.

    Attributes
    ----------
    source
        Scanner, motion and seed.
    series
        The series of the tree.
    jobs
        Series and index of every slice that is scanned.
    size
        Pixels along a side of the results; 0 for the scanner's own.
    dose
        Fraction of the own dose; ``None`` for the photons of the source.
    """

    source: VirtualScan
    series: Sequence[Series]
    jobs: Sequence[tuple[int, int]]
    size: int
    dose: float | None
    _kernels: dict[int, Acquisition] = field(default_factory=dict)

    def scan(self, number: int, index: int) -> tuple[ScannedSlice, dict[str, float]]:
        """A slice scanned twice; and the noise in HU that it carried before, by region: 0 where it is not measured.

        Raises
        ------
        InputError
            When the slice is too small, or at a fraction of a dose that its noise does not tell.
        """
        series, source = self.series[number], self.source
        job, size = source.job(series, index), self.size or max(series.hu.shape[1:])
        if self.dose is None:
            return scan_slice(source.scanner, source.seed, size, job), dict.fromkeys(REGIONS, 0.0)
        check_slice(job.hu.shape, size)
        if number not in self._kernels:
            self._kernels[number] = self._kernel_of(number)
        return self._scan_at_dose(self._kernels[number], self.dose, size, job)

    def _kernel_of(self, number: int) -> Acquisition:
        """The scanner with the kernel of a series."""
        series, source = self.series[number], self.source
        slices = [index for n, index in self.jobs if n == number]
        # In the middle of equal parts of the series: its ends show shoulders and liver.
        chosen = sorted({slices[(2 * k + 1) * len(slices) // (2 * EXAMPLES)] for k in range(EXAMPLES)})
        return own_kernel(
            [squared(series.hu[i]) for i in chosen], series.spacing_mm, source.scanner.low_dose, source.seed, series.key
        )

    def _scan_at_dose(
        self, acquisition: Acquisition, dose: float, size: int, job: ScanJob
    ) -> tuple[ScannedSlice, dict[str, float]]:
        """Scan a slice at its own pixels, where its noise is known, and average it then."""
        seed, scanner, series = self.source.seed, self.source.scanner, job.series
        # It was taken at 120 kV as a rule, whatever the second scan is.
        own = own_dose(job.hu, job.spacing_mm, size, replace(acquisition, kilovolt=120), seed, series, job.slice_index)
        if own is None:
            raise InputError(
                f"slice {job.slice_index + 1} of series {series} carries no noise that can be measured, so that its dose is not "
                "known: give data.photons instead of --dose"
            )
        low_dose = replace(acquisition, photons=own.photons, dose=dose, inserted=True)
        one = scan_slice(replace(scanner, low_dose=low_dose), seed, len(job.hu), job)
        images = area_resize(torch.from_numpy(np.stack([one.low, one.normal, one.truth])), size).numpy()
        low, normal, truth = (rounded_hu(image) for image in images)
        return ScannedSlice(low, normal, truth, one.pixel_mm * len(job.hu) / size), own.hu
