"""Virtual second scans of real patients, from any folder tree of normal-dose (NDCT) DICOM series."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ipv2_bench.data.breathing import Breathing
from ipv2_bench.data.dicom.patients import RULES
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import Wanted, content_of, read_tree
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.second_scan import ScannedSlice, SecondScan, squared
from ipv2_bench.data.slices import SourceSlices
from ipv2_bench.data.source import Source, assemble, in_parallel
from ipv2_bench.data.split import evenly_spaced
from ipv2_bench.errors import InputError
from ipv2_bench.files import with_home
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import numpy_generator


class VirtualScan(Source):
    """NDCT series from DICOM; every slice that shows lung gets a virtual second scan at ultra-low dose.

    Parameters
    ----------
    root
        Folder tree of DICOM series of normal dose. Where it is empty, the environment variable ``IPV2_BENCH_CT`` is used.
    min_lung
        Smallest share of the body's area that is lung, for a slice to take part.
    patients_by
        The rule that groups series by patient, for the split: ``auto``, ``patient_id``, ``study`` or ``series``; see
        :func:`~ipv2_bench.data.dicom.patients.group_patients`.
    breathe_by
        ``slice``: every slice has a breathing motion of its own, which gives a small data set many motions; ``series``: one
        motion of the whole patient, smooth from slice to slice, for denoisers that see neighbours.
    breathing
        Size of the motion between the two scans, as a multiple of the default (about 4 mm); 0 for none.
    seed
        Seed of everything that is drawn.
    derived
        Whether derived images (ImageType DERIVED, such as reformats) count as slices.
    slices_per_patient
        Slices of each patient that take part, evenly spaced over those that show lung; 0 for all of them.
    resample
        Whether oblong pixels are resampled to squares; otherwise they are refused.
    kernel, acquisition
        ConvolutionKernel and AcquisitionNumber of the slices that take part; empty for all of them.
    photons, electronic, bowtie, views, cutoff, kilovolt
        The 2 % acquisition; see :class:`~ipv2_bench.physics.acquisition.Acquisition`.
        IPv2's pairs are 80 kV against 120 kV: with ``kilovolt=80`` bone is brighter in the uLDCT than in the NDCT.
    """

    version = 2

    def __init__(
        self,
        root: str = "",
        min_lung: float = 0.05,
        patients_by: str = "auto",
        breathe_by: str = "slice",
        seed: int = 0,
        derived: bool = False,
        slices_per_patient: int = 0,
        resample: bool = False,
        kernel: str = "",
        acquisition: str = "",
        photons: float = 17000.0,
        electronic: float = 6.0,
        bowtie: float = 0.7,
        views: int = 360,
        cutoff: float = 0.67,
        kilovolt: int = 120,
        breathing: float = 1.0,
    ) -> None:
        root = root or with_home(os.environ.get("IPV2_BENCH_CT", ""))
        if not root:
            raise InputError("no CT to scan: set data.root=FOLDER (a tree of DICOM series) or IPV2_BENCH_CT")
        if patients_by not in RULES:
            raise ValueError(f"patients_by is '{patients_by}': use one of {', '.join(RULES)}")
        if breathe_by not in ("slice", "series"):
            raise ValueError(f"breathe_by is '{breathe_by}': use slice or series")
        if slices_per_patient < 0:
            raise ValueError(f"slices_per_patient is {slices_per_patient}: expected 0 for all, or a number of slices")
        self.breathe_by, self.slices_per_patient = breathe_by, slices_per_patient
        self.wanted = Wanted(derived=derived, square=resample, kernel=kernel, acquisition=acquisition)
        self.root, self.min_lung, self.patients_by, self.seed = Path(root), min_lung, patients_by, seed
        self.scanner = SecondScan(
            Acquisition(
                photons=photons,
                electronic=electronic,
                bowtie=bowtie,
                views=views,
                cutoff=cutoff,
                filter_name="shepp-logan",
                kilovolt=kilovolt,
            ),
            breathing=Breathing().scaled(breathing),
        )

    def identity(self) -> dict:
        """See :meth:`ipv2_bench.data.source.Source.identity`. The files' content takes part, their names and folders do not."""
        if not self.root.is_dir():
            raise InputError(f"the folder {self.root} does not exist: set data.root to a tree of DICOM series")
        return {
            "content": content_of(self.root),
            "min_lung": self.min_lung,
            "patients_by": self.patients_by,
            "breathe_by": self.breathe_by,
            "derived": self.wanted.derived,
            "slices_per_patient": self.slices_per_patient,
            "seed": self.seed,
            "scanner": asdict(self.scanner),
            **({"resample": True} if self.wanted.square else {}),
            **{k: v for k in ("kernel", "acquisition") if (v := getattr(self.wanted, k))},
        }

    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        """See :meth:`ipv2_bench.data.source.Source.make`."""
        jobs, patient, stack, key = (list(each) for each in zip(*lung_jobs(self, progress), strict=True))
        scan = partial(scan_slice, self.scanner, self.seed, size)
        scanned = in_parallel(scan, jobs, progress, "virtual scan", os.cpu_count() or 1)
        return assemble(scanned, patient, key, stack)

    def job(self, series: Series, i: int) -> ScanJob:
        """The job of :func:`scan_slice` for slice ``i`` of a series."""
        position = float(series.position_mm[i]) if self.breathe_by == "series" else None
        return ScanJob(squared(series.hu[i]).astype(np.float32), series.spacing_mm, series.key, i, position)


class ScanJob(NamedTuple):
    """A slice to be scanned.

    Attributes
    ----------
    hu
        [M, M], float32 in HU.
    spacing_mm
        Side of a pixel in mm.
    series, slice_index
        Key of its series, and its index there.
    position_mm
        Its position along the patient where the whole series has one motion, else ``None``.
    """

    hu: np.ndarray
    spacing_mm: float
    series: str
    slice_index: int
    position_mm: float | None


def lung_jobs(source: VirtualScan, progress: bool) -> list[tuple[ScanJob, str, str, str]]:
    """Job, patient, run of consecutive slices and key of every slice that takes part.

    Raises
    ------
    InputError
        When no slice shows lung.
    """
    from ipv2_bench.data.dicom.decoded import DecodedCache

    found: list[tuple[ScanJob, str, str, str]] = []
    decoded = None if source.cache is None else DecodedCache(source.cache)
    trees = read_tree(source.root, progress, source.patients_by, decoded, source.wanted)
    for number, series in enumerate(trees):
        lung = np.flatnonzero(lung_slices(series.hu, series.spacing_mm, source.min_lung))
        runs = np.cumsum(np.diff(lung, prepend=-2) > 1)  # of consecutive slices
        for i, run in zip(lung, runs, strict=True):
            found.append((source.job(series, int(i)), series.patient, f"{number}-{run}", f"{series.key}-{i:04d}"))
    if not found:
        raise InputError(
            f"no slice under {source.root} shows lung over {source.min_lung:.0%} of the body: expected chest CT in HU; "
            "check the rescale tags or lower data.min_lung"
        )
    return [found[i] for i in evenly_spaced([one[1] for one in found], source.slices_per_patient or len(found))]


KNOT_MM = 40.0
"""Distance along the patient between two independent motions; between them the motion is a blend of both."""


def scan_slice(scanner: SecondScan, seed: int, size: int, job: ScanJob) -> ScannedSlice:
    """A slice, deformed by breathing and scanned again, at [size, size]."""
    field = None
    if job.position_mm is not None:
        field = series_motion(scanner.breathing, job.hu.shape[0], job.spacing_mm, job.position_mm, seed, job.series)
    return scanner.scan(job.hu, job.spacing_mm, size, seed, job.series, job.slice_index, field=field)


def series_motion(
    breathing: Breathing, size: int, pixel_mm: float, position_mm: float, seed: int, series: str
) -> np.ndarray:
    """Displacement [2, size, size] in pixels of the slice at a position, as part of one motion of the whole patient."""
    knot = math.floor(position_mm / KNOT_MM)
    share = position_mm / KNOT_MM - knot
    below, above = (
        breathing.displacement(size, pixel_mm, numpy_generator(seed, series, "breath", k)) for k in (knot, knot + 1)
    )
    # Root weights keep the size of independent motions the same between the knots as at them.
    return np.sqrt(1.0 - share) * below + np.sqrt(share) * above
