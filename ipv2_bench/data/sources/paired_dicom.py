"""Pairs from two trees of DICOM series, uLDCT and NDCT of the same patients, matched by position."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ipv2_bench.data.dicom.doses import by_dose
from ipv2_bench.data.dicom.pairing import RULES, SeriesPair, match
from ipv2_bench.data.dicom.patients import RULES as PATIENT_RULES
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import Wanted, content_of, read_tree
from ipv2_bench.data.findings import Findings, LeftOut
from ipv2_bench.data.hu_images import rounded_hu
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.second_scan import area_resize, check_slice, squared
from ipv2_bench.data.slices import SourceSlices
from ipv2_bench.data.source import Source, scratch
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.physics.intensity import AIR_HU, Window

logger = logging.getLogger("ipv2_bench")

EXPECTED = (
    "expected folders lq and gt, or Full Dose and Low Dose (quarter, normal …) in SeriesDescription or folder names of the same "
    "patients; set data.derived=true where one side is of derived images"
)
"""What a folder of pairs may look like."""


class PairedDicom(Source):
    """Real pairs of scans. The truth is not known.

    Slices of the two scans belong together when each is the other's nearest along the patient; slices without a partner are
    left out with a warning that counts them. Nothing is interpolated along the patient, and within a slice only with
    ``resample``.

    Parameters
    ----------
    root
        Folder with a tree ``lq`` (uLDCT) and a tree ``gt`` (NDCT), or a tree in which SeriesDescription or folders say the dose,
        as in the public data of TCIA and Mayo; or name both on their own:
    low, normal
        Folder tree of the uLDCT series, and of the NDCT series.
    match_by
        ``patient_id``, or ``folder``: series in folders of the same name below either tree.
    tolerance_mm
        Largest distance in mm of two slices that count as one position.
    resample
        Resample oblong pixels to squares, and NDCT whose pixels do not coincide with those of the uLDCT, linearly. Otherwise
        they are refused.
    min_lung
        Smallest share of the body's area that is lung in the NDCT, for a pair to take part; 0 takes all.
    patients_by
        The rule that groups series by patient, for the split; see :func:`~ipv2_bench.data.dicom.patients.group_patients`.
    derived
        Whether derived images (ImageType DERIVED) count as slices where a tree holds others too; where it does not, they do.
    kernel, acquisition
        ConvolutionKernel and AcquisitionNumber of the slices that take part; empty for all of them.
    """

    version = 2

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
        kernel: str = "",
        acquisition: str = "",
    ) -> None:
        if not (low and normal) and not root:
            raise InputError(
                "no pairs to read: set data.root=FOLDER with trees lq and gt of DICOM series, or data.low and data.normal"
            )
        if low and normal and Path(low).resolve() == Path(normal).resolve():
            raise InputError(f"each scan is paired with itself: data.low and data.normal are both {low}")
        if match_by not in RULES:
            raise ValueError(f"match_by is '{match_by}': use one of {', '.join(RULES)}")
        if patients_by not in PATIENT_RULES:
            raise ValueError(f"patients_by is '{patients_by}': use one of {', '.join(PATIENT_RULES)}")
        if not tolerance_mm >= 0:
            raise ValueError(f"tolerance_mm is {tolerance_mm}: expected 0 or more")
        self.root = Path(root)
        self.low, self.normal = Path(low or Path(root, "lq")), Path(normal or Path(root, "gt"))
        self.match_by, self.tolerance_mm, self.resample = match_by, tolerance_mm, resample
        self.min_lung, self.patients_by = min_lung, patients_by
        self.wanted = Wanted(derived=derived, derived_alone=True, square=resample, kernel=kernel, acquisition=acquisition)
        self.doses_by_name = not (low or normal) and self.root.is_dir() and not has_lq_and_gt(self.root)

    def identity(self) -> dict:
        """See :meth:`ipv2_bench.data.source.Source.identity`.

        The files' content takes part, their folders only where ``match_by`` is ``folder`` or folders tell the dose.
        """
        options = [self.match_by, self.tolerance_mm, self.resample, self.min_lung, self.patients_by, self.wanted.derived]
        chosen = [self.wanted.kernel, self.wanted.acquisition]
        options += chosen if any(chosen) else []
        if self.doses_by_name:
            return {"content": [content_of(self.root, names=True)], "options": options}
        for folder, option in ((self.low, "low"), (self.normal, "normal")):
            if not folder.is_dir():
                raise InputError(f"the folder {folder} does not exist: set data.{option} to a tree of DICOM series")
        by_folder = self.match_by == "folder"
        return {
            "content": [content_of(self.low, by_folder), content_of(self.normal, by_folder)],
            "options": options,
        }

    def series_pairs(self, findings: Findings, progress: bool = False) -> list[SeriesPair]:
        """All pairs of series; problems of the matching are added to ``findings``."""
        from ipv2_bench.data.dicom.decoded import DecodedCache

        decoded = None if self.cache is None else DecodedCache(self.cache)
        alone = None
        if self.doses_by_name:
            groups = by_dose(read_tree(self.root, progress, self.patients_by, decoded, self.wanted))
            low, normal, alone = groups.low, groups.normal, LeftOut()
            for one in groups.unknown:
                alone.add("series whose names say no dose", one.names[0])
        else:
            low, normal = (
                read_tree(tree, progress, self.patients_by, decoded, self.wanted) for tree in (self.low, self.normal)
            )
        pairs = match(low, normal, self.match_by, self.tolerance_mm, findings, alone)
        if alone and not pairs and not findings.list():
            raise InputError(f"no pairs under {self.root}: {alone}; {EXPECTED}")
        if alone:
            logger.warning("left out of the pairs: %s", alone)
        for pair in pairs:
            if not pair.same_grid and not self.resample:
                text = (
                    f"pixels do not coincide with those of the NDCT ({_grid(pair.low)} and {_grid(pair.normal)}); "
                    "expected one grid; set data.resample=true to resample the NDCT to the uLDCT's"
                )
                findings.add(pair.low.names[0], "spacing", text)
        return pairs

    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        """See :meth:`ipv2_bench.data.source.Source.make`."""
        import torch

        findings = Findings()
        pairs = self.series_pairs(findings, progress)
        refuse([str(f) for f in findings.list()], "data set")
        with_lung = [self._with_lung(pair) for pair in pairs]
        n = sum(len(pair.indices) for pair in with_lung)
        if not n:
            raise InputError(
                f"no pair shows lung over {self.min_lung:.0%} of the body: expected chest CT in HU; lower data.min_lung"
            )
        arrays = {side: scratch(self.cache, n, size) for side in ("low", "normal")}
        patient: list[str] = []
        mm, stack, key = [], [], []
        for number, pair in enumerate(with_lung):
            self._log_changes(pair, pairs[number], size)
            runs = np.cumsum(np.diff(pair.indices[:, 0], prepend=-2) > 1)  # of consecutive slices
            for (i, j), run in zip(pair.indices, runs, strict=True):
                index = len(patient)
                normal = pair.normal.hu[j].astype(np.float32)
                normal = normal if pair.same_grid else onto_grid(normal, pair.normal, pair.low)
                both = squared(np.stack([pair.low.hu[i], normal]).astype(np.float64))
                check_slice(both.shape, size)
                resized = area_resize(torch.from_numpy(both), size)
                arrays["low"][index], arrays["normal"][index] = rounded_hu(resized.numpy())
                patient.append(pair.low.patient)
                mm.append(pair.low.spacing_mm * both.shape[1] / size)
                stack.append(f"{number}-{run}")
                key.append(f"{pair.low.key}-{i:04d}")
        return SourceSlices(arrays, patient, np.array(mm), stack, key)

    def _with_lung(self, pair: SeriesPair) -> SeriesPair:
        """The pair with those slices alone whose NDCT shows enough lung."""
        if not self.min_lung:
            return pair
        lung = lung_slices(pair.normal.hu[pair.indices[:, 1]], pair.normal.spacing_mm, self.min_lung)
        return replace(pair, indices=pair.indices[lung])

    def _log_changes(self, pair: SeriesPair, whole: SeriesPair, size: int) -> None:
        """Log which slices of a pair are not used, and how the others are changed; ``whole`` has those without lung too."""
        changes = []
        unmatched = [len(s.hu) - len(whole.indices) for s in (pair.low, pair.normal)]
        if any(unmatched):
            changes.append(
                f"{unmatched[0]} of {len(pair.low.hu)} uLDCT and {unmatched[1]} of {len(pair.normal.hu)} NDCT slices have no "
                f"partner within {self.tolerance_mm:g} mm"
            )
        if len(pair.indices) < len(whole.indices):
            changes.append(f"{len(whole.indices) - len(pair.indices)} pairs show too little lung")
        if not pair.same_grid:
            changes.append(f"the NDCT is resampled from {_grid(pair.normal)} to {_grid(pair.low)}")
        if pair.low.hu.shape[1] > size:
            changes.append(f"slices are averaged from {pair.low.hu.shape[1]} to {size} pixels a side (data.size)")
        if changes:
            logger.warning("series %s: %s", pair.low.key, "; ".join(changes))


def has_lq_and_gt(root: Path) -> bool:
    """Whether a folder holds a tree of uLDCT and one of NDCT by these names; otherwise the names of its series say the dose."""
    return all((root / side).is_dir() for side in ("lq", "gt"))


def _grid(series: Series) -> str:
    """Shape, spacing and corner of a series' pixels, in words."""
    height, width = series.hu.shape[1:]
    corner = "" if series.corner_mm is None else " from ({:g}, {:g})".format(*series.corner_mm)
    return f"{width} x {height} of {series.spacing_mm:g} mm{corner}"


def onto_grid(hu: np.ndarray, own: Series, other: Series) -> np.ndarray:
    """A slice [H, W] of series ``own``, interpolated linearly at the pixels of series ``other``; air outside of the slice.

    Without corners the middles of both slices are taken for the same position.
    """
    from scipy import ndimage

    height, width = other.hu.shape[1:]
    ratio = other.spacing_mm / own.spacing_mm
    if own.corner_mm is not None and other.corner_mm is not None:
        columns, rows = (other.corner_mm - own.corner_mm) / own.spacing_mm
    else:
        rows, columns = (((n - 1) - (m - 1) * ratio) / 2 for n, m in zip(hu.shape, (height, width), strict=True))
    at = np.meshgrid(rows + ratio * np.arange(height), columns + ratio * np.arange(width), indexing="ij")
    return ndimage.map_coordinates(hu, at, order=1, mode="constant", cval=AIR_HU).astype(np.float32)
