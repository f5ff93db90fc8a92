"""Real patients, breathed and scanned again: any folder tree of NDCT DICOM series."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from ipv2_bench.data.breathing import Breathing
from ipv2_bench.data.decoded import DecodedCache
from ipv2_bench.data.dicom import content_of, read_tree
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.patients import RULES
from ipv2_bench.data.second_scan import ScannedSlice, SecondScan
from ipv2_bench.data.series import Series
from ipv2_bench.data.slices import Made
from ipv2_bench.data.source import Source, assemble, in_parallel
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import Acquisition
from ipv2_bench.physics.seeding import numpy_generator


class VirtualScan(Source):
    """NDCT series from DICOM; every lung-bearing slice gets a virtual second scan at ultra-low dose.

    Parameters
    ----------
    root
        Folder tree of DICOM series of normal dose. Where it is empty, the environment variable ``IPV2_BENCH_CT``.
    min_lung
        Least share of the body's area that is lung, for a slice to take part.
    patients_by
        What tells patients apart, for the split: ``auto``, ``patient_id``, ``study`` or ``series``; see
        :func:`~ipv2_bench.data.patients.group_patients`.
    breathe_by
        ``slice``: every slice is breathed on its own, which gives a small data set many motions; ``series``: as one breath
        of the patient, smooth from slice to slice, for denoisers that see neighbours.
    seed
        Of everything that is drawn.
    derived
        Whether derived images (ImageType DERIVED, such as reformats) count as slices.
    photons, electronic, bowtie, views
        The 2 % acquisition; see :class:`~ipv2_bench.physics.scanner.Acquisition`.
    """

    def __init__(
        self,
        root: str = "",
        min_lung: float = 0.05,
        patients_by: str = "auto",
        breathe_by: str = "slice",
        seed: int = 0,
        derived: bool = False,
        photons: float = 4500.0,
        electronic: float = 6.0,
        bowtie: float = 0.7,
        views: int = 180,
    ) -> None:
        root = root or os.environ.get("IPV2_BENCH_CT", "")
        if not root:
            raise InputError("no CT to scan: set data.root=FOLDER (a tree of DICOM series) or IPV2_BENCH_CT")
        if patients_by not in RULES:
            raise ValueError(f"patients_by is '{patients_by}': use one of {', '.join(RULES)}")
        if breathe_by not in ("slice", "series"):
            raise ValueError(f"breathe_by is '{breathe_by}': use slice or series")
        self.breathe_by, self.derived = breathe_by, derived
        self.root, self.min_lung, self.patients_by, self.seed = Path(root), min_lung, patients_by, seed
        self.scanner = SecondScan(
            Acquisition(photons=photons, electronic=electronic, bowtie=bowtie, views=views, filter_name="shepp-logan")
        )

    def identity(self) -> dict:
        """See :class:`Source`. The files' content takes part, their names and place do not."""
        if not self.root.is_dir():
            raise InputError(f"the folder {self.root} is not there: set data.root to a tree of DICOM series")
        return {
            "content": content_of(self.root),
            "min_lung": self.min_lung,
            "patients_by": self.patients_by,
            "breathe_by": self.breathe_by,
            "derived": self.derived,
            "seed": self.seed,
            "scanner": asdict(self.scanner),
        }

    def make(self, window: Window, size: int, progress: bool) -> Made:
        """See :class:`Source`."""
        jobs, patient, stack, key = [], [], [], []
        decoded = None if self.cache is None else DecodedCache(self.cache)
        for number, series in enumerate(read_tree(self.root, progress, self.patients_by, decoded, self.derived)):
            used = np.flatnonzero(lung_slices(series.hu, series.spacing_mm, self.min_lung))
            runs = np.cumsum(np.diff(used, prepend=-2) > 1)
            for i, run in zip(used, runs, strict=True):
                jobs.append(self.job(series, int(i)))
                patient.append(series.patient)
                stack.append(f"{number}-{run}")
                key.append(f"{series.key}-{i:04d}")
        if not jobs:
            raise InputError(
                f"no slice under {self.root} shows lung over {self.min_lung:.0%} of the body: expected chest CT in HU; "
                "check the rescale tags or lower data.min_lung"
            )
        scan = partial(scan_slice, self.scanner, self.seed, size)
        scanned = in_parallel(scan, jobs, progress, "virtual scan", os.cpu_count() or 1)
        return assemble(scanned, patient, window, key, stack)

    def job(self, series: Series, i: int) -> Job:
        """What :func:`scan_slice` needs of a slice."""
        height = float(series.position_mm[i]) if self.breathe_by == "series" else None
        return series.hu[i].astype(np.float32), series.spacing_mm, series.key, i, height


Job = tuple[np.ndarray, float, str, int, float | None]
"""A slice [M, M] in HU, the side of its pixels in mm, its series' key, its place there, and its height in mm where one
breath goes through the whole series."""

KNOT_MM = 40.0
"""Distance along the patient at which a breath is drawn anew; between two of them it is blended."""


def scan_slice(scanner: SecondScan, seed: int, size: int, job: Job) -> ScannedSlice:
    """Breathe a slice and scan it again, at [size, size]."""
    hu, spacing_mm, key, i, height = job
    field = None if height is None else breath(scanner.breathing, hu.shape[0], spacing_mm, height, seed, key)
    return scanner.scan(hu, spacing_mm, size, seed, key, i, field=field)


def breath(breathing: Breathing, size: int, pixel_mm: float, height_mm: float, seed: int, key: str) -> np.ndarray:
    """Displacement [2, size, size] in pixels of the slice at a height, as part of one motion of the whole patient."""
    knot = math.floor(height_mm / KNOT_MM)
    share = height_mm / KNOT_MM - knot
    below, above = (
        breathing.displacement(size, pixel_mm, numpy_generator(seed, key, "breath", k)) for k in (knot, knot + 1)
    )
    # Root weights keep the size of independent motions the same between the knots as at them.
    return np.sqrt(1.0 - share) * below + np.sqrt(share) * above
