"""Slices of the embedded digital thorax, scanned twice: nothing to download, and the truth is known."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import lru_cache, partial

from ipv2_bench.data.breathing import Breathing
from ipv2_bench.data.second_scan import ScannedSlice, SecondScan
from ipv2_bench.data.slices import SourceSlices
from ipv2_bench.data.source import Source, assemble, in_parallel
from ipv2_bench.data.thorax import Patient, Section, draw_section
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import numpy_generator

FIELD_MM = 400.0
"""Side of the field of view in mm."""


class Phantom(Source):
    """Random patients, each cut at several levels from lung apex to base.

    Parameters
    ----------
    patients, levels
        Number of patients, and of sections of each patient.
    seed
        Seed of everything that is drawn.
    photons, electronic, bowtie, views, cutoff, kilovolt
        The 2 % acquisition; see :class:`~ipv2_bench.physics.acquisition.Acquisition`.
        IPv2's pairs are 80 kV against 120 kV: with ``kilovolt=80`` bone is brighter in the uLDCT than in the NDCT.
    normal_dose_factor
        Photons of the NDCT, as a multiple of those of the 2 % scan.
    breathing
        Size of the motion between the two scans, as a multiple of the default (about 4 mm); 0 for none.
    """

    version = 2

    def __init__(
        self,
        patients: int = 24,
        levels: int = 8,
        seed: int = 0,
        photons: float = 1440.0,
        electronic: float = 6.0,
        bowtie: float = 0.7,
        views: int = 180,
        cutoff: float = 0.0,
        kilovolt: int = 120,
        normal_dose_factor: float = 50.0,
        breathing: float = 1.0,
    ) -> None:
        for name, value in (("patients", patients), ("levels", levels)):
            if value < 1:
                raise ValueError(f"{name} is {value}: expected at least 1")
        self.patients, self.levels, self.seed = patients, levels, seed
        scan: dict = {"electronic": electronic, "bowtie": bowtie, "views": views, "cutoff": cutoff}
        scan["filter_name"] = "shepp-logan"
        self.scanner = SecondScan(
            Acquisition(photons=photons, kilovolt=kilovolt, **scan),
            Acquisition(photons=photons * normal_dose_factor, **scan),
            Breathing().scaled(breathing),
        )

    def identity(self) -> dict:
        """See :meth:`ipv2_bench.data.source.Source.identity`."""
        return {"patients": self.patients, "levels": self.levels, "seed": self.seed, "scanner": asdict(self.scanner)}

    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        """See :meth:`ipv2_bench.data.source.Source.make`."""
        jobs = [(p, j) for p in range(self.patients) for j in range(self.levels)]
        scan = partial(_scan, self.scanner, self.seed, self.levels, size)
        scanned = in_parallel(scan, jobs, progress, "phantom", os.cpu_count() or 1)
        patients, keys = zip(
            *((f"phantom-{p:03d}", f"phantom-{self.seed}-{p:03d}-{j:03d}") for p, j in jobs), strict=True
        )
        return assemble(scanned, patients, keys)


@lru_cache(maxsize=2)
def _patient(seed: int, p: int) -> Patient:
    """Patient number ``p``, drawn once for all of its sections, since growing the vessel tree takes longer than cutting it."""
    return Patient.draw(numpy_generator(seed, "phantom", p))


def _scan(scanner: SecondScan, seed: int, levels: int, size: int, job: tuple[int, int]) -> ScannedSlice:
    """The section of ``job``, the numbers of patient and section, scanned twice at [size, size]."""
    p, j = job
    # Drawn finer than it is scanned, so that deforming it costs no sharpness.
    fine = 2 * size
    section = section_of(seed, p, j, levels, fine)
    return scanner.scan(section.hu, FIELD_MM / fine, size, seed, "phantom", p, j, nodules=section.nodules)


def section_of(seed: int, p: int, j: int, levels: int, size: int) -> Section:
    """Section number ``j`` of ``levels`` of patient number ``p``, drawn at [size, size] over the field of view."""
    level = float((j + numpy_generator(seed, "level", p, j).uniform(0.1, 0.9)) / levels)
    return draw_section(_patient(seed, p), level, size, FIELD_MM / size)
