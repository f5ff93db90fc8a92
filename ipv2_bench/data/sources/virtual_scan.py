"""Real patients, breathed and scanned again: any folder tree of NDCT DICOM series."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from ipv2_bench.data.dicom import lung_slices, read_tree
from ipv2_bench.data.patients import RULES
from ipv2_bench.data.second_scan import ScannedSlice, SecondScan
from ipv2_bench.data.source import Source, assemble, in_parallel
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import Acquisition


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
    seed
        Of everything that is drawn.
    photons, electronic, bowtie, views
        The 2 % acquisition; see :class:`~ipv2_bench.physics.scanner.Acquisition`.
    """

    def __init__(
        self,
        root: str = "",
        min_lung: float = 0.05,
        patients_by: str = "auto",
        seed: int = 0,
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
        self.root, self.min_lung, self.patients_by, self.seed = Path(root), min_lung, patients_by, seed
        self.scanner = SecondScan(
            Acquisition(photons=photons, electronic=electronic, bowtie=bowtie, views=views, filter_name="shepp-logan")
        )

    def identity(self) -> dict:
        """See :class:`Source`. The files' content takes part, their names and place do not."""
        if not self.root.is_dir():
            raise InputError(f"the folder {self.root} is not there: set data.root to a tree of DICOM series")
        files = sorted(
            hashlib.sha256(Path(folder, name).read_bytes()).hexdigest()
            for folder, _, names in os.walk(self.root)
            for name in names
            if Path(folder, name).is_file()
        )
        content = hashlib.sha256("".join(files).encode()).hexdigest()
        return {
            "content": content,
            "min_lung": self.min_lung,
            "patients_by": self.patients_by,
            "seed": self.seed,
            "scanner": asdict(self.scanner),
        }

    def make(
        self, window: Window, size: int, progress: bool
    ) -> tuple[dict[str, np.ndarray], Sequence[str], np.ndarray]:
        """See :class:`Source`."""
        jobs, patient = [], []
        for series in read_tree(self.root, progress, self.patients_by):
            for i in np.flatnonzero(lung_slices(series.hu, series.spacing_mm, self.min_lung)):
                jobs.append((series.hu[i].astype(np.float32), series.spacing_mm, series.key, int(i)))
                patient.append(series.patient)
        if not jobs:
            raise InputError(
                f"no slice under {self.root} shows lung over {self.min_lung:.0%} of the body: expected chest CT in HU; "
                "check the rescale tags or lower data.min_lung"
            )
        scan = partial(_scan, self.scanner, self.seed, size)
        return assemble(in_parallel(scan, jobs, progress, "virtual scan", os.cpu_count() or 1), patient, window)


def _scan(scanner: SecondScan, seed: int, size: int, job: tuple[np.ndarray, float, str, int]) -> ScannedSlice:
    hu, spacing_mm, key, i = job
    return scanner.scan(hu, spacing_mm, size, seed, key, i)
