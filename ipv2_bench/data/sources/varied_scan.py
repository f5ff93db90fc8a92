"""Virtual scans of which each has a dose, kernel, pixel size and motion of its own: to train a denoiser for any scanner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ipv2_bench.data.second_scan import ScannedSlice, SecondScan
from ipv2_bench.data.slices import SourceSlices
from ipv2_bench.data.source import assemble, in_parallel
from ipv2_bench.data.sources.phantom import FIELD_MM, section_of
from ipv2_bench.data.sources.virtual_scan import ScanJob, VirtualScan, lung_jobs
from ipv2_bench.physics.intensity import AIR_HU, Window
from ipv2_bench.physics.seeding import numpy_generator

SCAN_DOSE = 0.02
"""Dose of the acquisition that ``photons`` states, as a fraction of the NDCT's."""

KERNELS = ("shepp-logan", "cosine", "hann")
"""Filters that are drawn, from sharp to soft; the bare ramp is in no scanner's use."""


@dataclass(frozen=True)
class Ranges:
    """What is drawn for each scan, each independently of the others.

    Attributes
    ----------
    dose
        Fraction of the NDCT's dose, log-uniform.
    pixel_mm
        Side of a pixel in mm, uniform; the slice is resampled to it, and cut or filled with air to its number of pixels.
    cutoff
        Where the filter's window ends, in 1/mm, uniform; the filter itself is one of :data:`KERNELS`.
    still
        Share of the scans without motion.
    """

    dose: tuple[float, float]
    pixel_mm: tuple[float, float]
    cutoff: tuple[float, float]
    still: float

    def __post_init__(self) -> None:
        for name, (low, high) in (("dose", self.dose), ("pixel_mm", self.pixel_mm), ("cutoff", self.cutoff)):
            if not 0 < low <= high:
                raise ValueError(f"{name} is {low:g} to {high:g}: expected two numbers above 0, the smaller first")
        if not 0 <= self.still <= 1:
            raise ValueError(f"still is {self.still:g}: expected a share from 0 to 1")


class Drawn(NamedTuple):
    """The settings of one scan; see :class:`Ranges`."""

    dose: float
    pixel_mm: float
    cutoff: float
    filter_name: str
    still: bool


def draw(ranges: Ranges, seed: int, name: str, scan: int) -> Drawn:
    """The settings of scan number ``scan`` of the anatomy with a name."""
    rng = numpy_generator(seed, "varied scan", name, scan)
    dose = float(np.exp(rng.uniform(*np.log(ranges.dose))))
    pixel_mm, cutoff = float(rng.uniform(*ranges.pixel_mm)), float(rng.uniform(*ranges.cutoff))
    filter_name = KERNELS[rng.integers(len(KERNELS))]
    return Drawn(dose, pixel_mm, cutoff, filter_name, bool(rng.uniform() < ranges.still))


class VariedScan(VirtualScan):
    """Slices of real patients and of the digital thorax, each scanned several times, never twice alike.

    Parameters
    ----------
    scans
        Scans of each slice.
    dose, pixel_mm, cutoff, still
        What is drawn; see :class:`Ranges`.
    phantoms, levels
        Patients of the digital thorax that take part, and sections of each; 0 for real patients alone.
    options
        See :class:`~ipv2_bench.data.sources.virtual_scan.VirtualScan`.
    """

    version = 1

    def __init__(
        self,
        scans: int = 3,
        dose: Sequence[float] = (0.005, 0.1),
        pixel_mm: Sequence[float] = (0.5, 1.0),
        cutoff: Sequence[float] = (0.4, 0.8),
        still: float = 0.5,
        phantoms: int = 0,
        levels: int = 4,
        root: str = "",
        min_lung: float = 0.05,
        patients_by: str = "auto",
        seed: int = 0,
        derived: bool = False,
        slices_per_patient: int = 0,
        kernel: str = "",
        acquisition: str = "",
        photons: float = 17000.0,
        electronic: float = 6.0,
        bowtie: float = 0.7,
        views: int = 360,
        kilovolt: int = 120,
    ) -> None:
        super().__init__(
            root, min_lung, patients_by, "slice", seed, derived, slices_per_patient, kernel=kernel, acquisition=acquisition,
            photons=photons, electronic=electronic, bowtie=bowtie, views=views, kilovolt=kilovolt,
        )
        if scans < 1 or phantoms < 0 or levels < 1:
            raise ValueError(f"scans={scans}, phantoms={phantoms}, levels={levels}: expected at least 1, 0 and 1")
        self.scans, self.phantoms, self.levels = scans, phantoms, levels
        self.ranges = Ranges(_pair("dose", dose), _pair("pixel_mm", pixel_mm), _pair("cutoff", cutoff), still)

    def identity(self) -> dict:
        """See :meth:`ipv2_bench.data.source.Source.identity`."""
        own = {"scans": self.scans, "ranges": asdict(self.ranges), "phantoms": self.phantoms, "levels": self.levels}
        return {**super().identity(), **own}

    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        """See :meth:`ipv2_bench.data.source.Source.make`."""
        anatomies: list[ScanJob | _Section] = []
        patient, key = [], []
        for job, who, _, name in lung_jobs(self, progress):
            anatomies.append(job)
            patient.append(who)
            key.append(name)
        for p in range(self.phantoms):
            for level in range(self.levels):
                anatomies.append(_Section(self.seed, p, level, self.levels, 2 * size))
                patient.append(f"phantom-{p:03d}")
                key.append(f"phantom-{self.seed}-{p:03d}-{level:03d}")
        jobs = [(anatomy, name, scan) for anatomy, name in zip(anatomies, key, strict=True) for scan in range(self.scans)]
        scan_one = partial(_scan, self.scanner, self.ranges, self.seed, size)
        scanned = in_parallel(scan_one, jobs, progress, "varied scans", os.cpu_count() or 1)
        return assemble(
            scanned, np.repeat(patient, self.scans).tolist(), [f"{name}-scan{scan}" for _, name, scan in jobs]
        )


class _Section(NamedTuple):
    """A section of the digital thorax, to be drawn at [size, size] where it is scanned."""

    seed: int
    patient: int
    level: int
    levels: int
    size: int


def _pair(name: str, values: Sequence[float]) -> tuple[float, float]:
    if len(values) != 2:
        raise ValueError(f"{name} is {list(values)}: expected two numbers, the smallest and the largest")
    return float(values[0]), float(values[1])


def _scan(
    scanner: SecondScan, ranges: Ranges, seed: int, size: int, job: tuple[ScanJob | _Section, str, int]
) -> ScannedSlice:
    """One scan of an anatomy at [size, size], with all of its settings drawn from its name and number."""
    anatomy, name, scan = job
    drawn = draw(ranges, seed, name, scan)
    if isinstance(anatomy, _Section):
        hu = section_of(anatomy.seed, anatomy.patient, anatomy.level, anatomy.levels, anatomy.size).hu
        native_mm = FIELD_MM / anatomy.size
    else:
        hu, native_mm = anatomy.hu, anatomy.spacing_mm
    hu = resampled(hu.astype(np.float64), native_mm, drawn.pixel_mm, size)
    photons = scanner.low_dose.photons * drawn.dose / SCAN_DOSE
    low_dose = replace(scanner.low_dose, photons=photons, cutoff=drawn.cutoff, filter_name=drawn.filter_name)
    field = np.zeros((2, size, size)) if drawn.still else None
    return replace(scanner, low_dose=low_dose).scan(hu, drawn.pixel_mm, size, seed, name, scan, field=field)


def resampled(hu: np.ndarray, from_mm: float, to_mm: float, size: int) -> np.ndarray:
    """A slice at another pixel size, about its middle, [size, size] in HU.

    Parameters
    ----------
    hu
        [M, M] in HU, float64.
    from_mm, to_mm
        Side of a pixel before and after; larger pixels average.
    size
        Pixels along a side of the result, cut or filled with air.
    """
    import torch
    import torch.nn.functional as F

    side = max(1, round(hu.shape[0] * from_mm / to_mm))
    image = F.interpolate(
        torch.from_numpy(hu)[None, None], size=(side, side), mode="bicubic", align_corners=False, antialias=True
    )[0, 0].numpy()
    image = image.clip(hu.min(), hu.max())  # cubic kernels overshoot at edges
    if side > size:
        first = (side - size) // 2
        return image[first : first + size, first : first + size]
    before = (size - side) // 2
    return np.pad(image, (before, size - side - before), constant_values=AIR_HU)
