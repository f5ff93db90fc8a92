"""Two trees of DICOM series, uLDCT and NDCT of the same patients, matched by position."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from ipv2_bench.data.decoded import DecodedCache
from ipv2_bench.data.dicom import content_of, read_tree
from ipv2_bench.data.findings import Findings
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.pairing import RULES, SeriesPair, match
from ipv2_bench.data.patients import RULES as PATIENT_RULES
from ipv2_bench.data.second_scan import area_resize
from ipv2_bench.data.series import Series
from ipv2_bench.data.slices import Made
from ipv2_bench.data.source import Source, scratch
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.physics.intensity import AIR_HU, Window

logger = logging.getLogger("ipv2_bench")


class PairedDicom(Source):
    """Real pairs of scans. The truth is not known.

    Slices of the two scans belong together when each is the other's nearest along the patient; what has no partner is left
    out with a warning that counts it. Nothing is interpolated along the patient, and within a slice only when asked.

    Parameters
    ----------
    root
        Folder with a tree ``lq`` (uLDCT) and a tree ``gt`` (NDCT); or give both on their own:
    low, normal
        Folder tree of the uLDCT series, and of the NDCT series.
    match_by
        ``patient_id``, or ``folder``: series in folders of the same name below either tree.
    tolerance_mm
        Largest distance of two slices that count as one height.
    resample
        Bring NDCT whose pixels do not lie on those of the uLDCT onto them, linearly. Otherwise they are refused.
    min_lung
        Least share of the body's area that is lung in the NDCT, for a pair to take part; 0 takes all.
    patients_by
        What tells patients apart, for the split; see :func:`~ipv2_bench.data.patients.group_patients`.
    derived
        Whether derived images (ImageType DERIVED) count as slices.
    """

    def __init__(
        self,
        root: str = "",
        low: str = "",
        normal: str = "",
        match_by: str = "patient_id",
        tolerance_mm: float = 1.0,
        resample: bool = False,
        min_lung: float = 0.05,
        patients_by: str = "auto",
        derived: bool = False,
    ) -> None:
        if not (low and normal) and not root:
            raise InputError(
                "no pairs to read: set data.root=FOLDER with trees lq and gt of DICOM series, or data.low and data.normal"
            )
        if match_by not in RULES:
            raise ValueError(f"match_by is '{match_by}': use one of {', '.join(RULES)}")
        if patients_by not in PATIENT_RULES:
            raise ValueError(f"patients_by is '{patients_by}': use one of {', '.join(PATIENT_RULES)}")
        if not tolerance_mm >= 0:
            raise ValueError(f"tolerance_mm is {tolerance_mm}: expected 0 or more")
        self.low, self.normal = Path(low or Path(root, "lq")), Path(normal or Path(root, "gt"))
        self.match_by, self.tolerance_mm, self.resample = match_by, tolerance_mm, resample
        self.min_lung, self.patients_by, self.derived = min_lung, patients_by, derived

    def identity(self) -> dict:
        """See :class:`Source`. The files' content takes part, their place only where folders tell what belongs together."""
        for folder, option in ((self.low, "low"), (self.normal, "normal")):
            if not folder.is_dir():
                raise InputError(f"the folder {folder} is not there: set data.{option} to a tree of DICOM series")
        by_folder = self.match_by == "folder"
        return {
            "content": [content_of(self.low, by_folder), content_of(self.normal, by_folder)],
            "options": [self.match_by, self.tolerance_mm, self.resample, self.min_lung, self.patients_by, self.derived],
        }

    def series_pairs(self, findings: Findings, progress: bool = False) -> list[SeriesPair]:
        """All pairs of series; what is wrong with their matching goes into ``findings``."""
        decoded = None if self.cache is None else DecodedCache(self.cache)
        low, normal = (
            read_tree(tree, progress, self.patients_by, decoded, self.derived) for tree in (self.low, self.normal)
        )
        pairs = match(low, normal, self.match_by, self.tolerance_mm, findings)
        for pair in pairs:
            if not pair.same_grid and not self.resample:
                text = (
                    f"pixels do not lie on those of the NDCT ({_grid(pair.low)} and {_grid(pair.normal)}); expected one grid; "
                    "set data.resample=true to bring the NDCT onto the uLDCT's"
                )
                findings.add(pair.low.names[0], "spacing", text)
        return pairs

    def make(self, window: Window, size: int, progress: bool) -> Made:
        """See :class:`Source`."""
        findings = Findings()
        pairs = self.series_pairs(findings, progress)
        refuse([str(f) for f in findings.list()], "data set")
        kept = [self._with_lung(pair) for pair in pairs]
        n = sum(len(pair.places) for pair in kept)
        if not n:
            raise InputError(
                f"no pair shows lung over {self.min_lung:.0%} of the body: expected chest CT in HU; lower data.min_lung"
            )
        arrays = {side: scratch(self.cache, n, size) for side in ("low", "normal")}
        patient: list[str] = []
        mm, stack, key = [], [], []
        for number, pair in enumerate(kept):
            self._tell(pair, pairs[number], size)
            runs = np.cumsum(np.diff(pair.places[:, 0], prepend=-2) > 1)
            for (i, j), run in zip(pair.places, runs, strict=True):
                place = len(patient)
                normal = pair.normal.hu[j].astype(np.float32)
                normal = normal if pair.same_grid else onto_grid(normal, pair.normal, pair.low)
                both = np.stack([pair.low.hu[i].astype(np.float32), normal])
                if both.shape[1] != both.shape[2] or both.shape[1] < size:
                    raise InputError(
                        f"slices are {both.shape[2]}×{both.shape[1]}: expected squares of at least {size} (data.size)"
                    )
                arrays["low"][place], arrays["normal"][place] = window.unit(
                    area_resize(torch.from_numpy(both), size)
                ).numpy()
                patient.append(pair.low.patient)
                mm.append(pair.low.spacing_mm * both.shape[1] / size)
                stack.append(f"{number}-{run}")
                key.append(f"{pair.low.key}-{i:04d}")
        return Made(arrays, patient, np.array(mm), stack, key)

    def _with_lung(self, pair: SeriesPair) -> SeriesPair:
        if not self.min_lung:
            return pair
        seen = lung_slices(pair.normal.hu[pair.places[:, 1]], pair.normal.spacing_mm, self.min_lung)
        return replace(pair, places=pair.places[seen])

    def _tell(self, pair: SeriesPair, whole: SeriesPair, size: int) -> None:
        """Say what of a pair is not used, or changed."""
        told = []
        alone = [len(s.hu) - len(whole.places) for s in (pair.low, pair.normal)]
        if any(alone):
            told.append(
                f"{alone[0]} of {len(pair.low.hu)} uLDCT and {alone[1]} of {len(pair.normal.hu)} NDCT slices have no partner "
                f"within {self.tolerance_mm:g} mm"
            )
        if len(pair.places) < len(whole.places):
            told.append(f"{len(whole.places) - len(pair.places)} pairs show too little lung")
        if not pair.same_grid:
            told.append(f"the NDCT is resampled from {_grid(pair.normal)} to {_grid(pair.low)}")
        if pair.low.hu.shape[1] > size:
            told.append(f"slices are averaged from {pair.low.hu.shape[1]} to {size} pixels a side (data.size)")
        if told:
            logger.warning("series %s: %s", pair.low.key, "; ".join(told))


def _grid(series: Series) -> str:
    height, width = series.hu.shape[1:]
    corner = "" if series.corner_mm is None else " from ({:g}, {:g})".format(*series.corner_mm)
    return f"{width} x {height} of {series.spacing_mm:g} mm{corner}"


def onto_grid(hu: np.ndarray, own: Series, other: Series) -> np.ndarray:
    """A slice [H, W] of one series at the pixels of another, linearly; what lies outside is air.

    Without positions the middles of both are taken for the same place.
    """
    height, width = other.hu.shape[1:]
    ratio = other.spacing_mm / own.spacing_mm
    if own.corner_mm is not None and other.corner_mm is not None:
        columns, rows = (other.corner_mm - own.corner_mm) / own.spacing_mm
    else:
        rows, columns = (((n - 1) - (m - 1) * ratio) / 2 for n, m in zip(hu.shape, (height, width), strict=True))
    at = np.meshgrid(rows + ratio * np.arange(height), columns + ratio * np.arange(width), indexing="ij")
    return ndimage.map_coordinates(hu, at, order=1, mode="constant", cval=AIR_HU).astype(np.float32)
