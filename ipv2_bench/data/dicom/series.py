"""CT series: slices checked against each other and ordered by position."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ipv2_bench.data.dicom.patients import Belonging
from ipv2_bench.data.dicom.tags import LARGEST_TILT_DEG
from ipv2_bench.data.findings import shown

if TYPE_CHECKING:
    from ipv2_bench.data.dicom.ct_slice import CTSlice

SAME_POSITION_MM = 0.01
"""Slices that are less than this apart have the same position."""


@dataclass(frozen=True)
class Series:
    """One CT series, its slices ordered along the slice normal.

    Attributes
    ----------
    folder
        Folder of the series relative to the root, with ``/``; ``"."`` for the root itself. For local use
        only: it may identify a patient and must not be written to results.
    hu
        int16 (where slope and intercept are whole numbers) or float32 ``[n, H, W]``, in HU, finite; padding is -1000.
    position_mm
        float64 ``[n]``, strictly ascending: position along the slice normal in mm.
    spacing_mm
        Side of the square pixels in mm, > 0.
    key
        8 hex digits of the SHA-256 of ``hu``: a name without identity, the same in any folder.
    patient
        Key of the first series of this patient.
    belonging
        Patient and study of the series, as hashes that hold for this run alone.
    corner_mm
        Position of the first pixel along rows and columns in mm, [2]; ``None`` where the tags do not hold it.
    axes
        Directions of rows and columns in the patient, [6]; ``None`` where the tags do not hold them.
    names
        File of each slice, relative to the root; for local use only, like ``folder``.
    kernel, acquisition
        ConvolutionKernel and AcquisitionNumber of its slices as text, empty where they differ or are not told.
    description
        SeriesDescription of its slices, empty where they differ; for local use only, like ``folder``.
    label, folder_without_dose
        Where names say the dose (:mod:`ipv2_bench.data.dicom.doses`): the other words of that name, such as ``1mm``, and the
        folder without the words of a dose. Otherwise empty and ``None``.
    """

    folder: str
    hu: np.ndarray
    position_mm: np.ndarray
    spacing_mm: float
    key: str
    patient: str
    belonging: Belonging = Belonging("", frozenset())
    corner_mm: np.ndarray | None = None
    axes: np.ndarray | None = None
    names: tuple[str, ...] = ()
    kernel: str = ""
    acquisition: str = ""
    description: str = ""
    label: str = ""
    folder_without_dose: str | None = None


class FileProblem(NamedTuple):
    """A problem of one file: the arguments of :meth:`ipv2_bench.data.findings.Findings.add`."""

    name: str
    kind: str
    text: str


def build_series(folder: str, slices: list[CTSlice]) -> tuple[Series | None, list[FileProblem]]:
    """Check the slices of one series against each other and stack them in order of position.

    Returns
    -------
    tuple
        The series, or ``None`` when there are problems; and the problems.
    """
    problems: list[FileProblem] = []
    shapes = [" x ".join(map(str, s.hu.shape)) for s in slices]
    spacings = [f"{s.spacing:g} mm" for s in slices]
    for kind, what, values in (("shape", "shape", shapes), ("spacing", "pixel spacing", spacings)):
        usual = Counter(sorted(values)).most_common(1)[0][0]
        remedy = f"expected one {what} per series; remove the slices that differ"
        problems += [
            FileProblem(part.name, kind, f"{what} {value} in a series of {usual}; {remedy}")
            for part, value in zip(slices, values, strict=True)
            if value != usual
        ]
    position, position_problems = positions(slices)
    problems += position_problems
    if position is None:
        return None, problems
    order = np.argsort(position, kind="stable")
    for a, b in itertools.pairwise(order.tolist()):
        if position[b] - position[a] < SAME_POSITION_MM:
            text = f"same position ({position[a]:g} mm) as {shown(slices[a].name)}"
            text = f"{text}; expected each once per series; remove one of the two"
            problems.append(FileProblem(slices[b].name, "duplicate", text))
    if problems:
        return None, problems
    hu = np.stack([slices[i].hu for i in order])
    digest = hashlib.sha256(f"{hu.shape}".encode())
    digest.update(np.ascontiguousarray(hu, dtype=hu.dtype.newbyteorder("<")).data)
    key = digest.hexdigest()[:8]
    belonging = Belonging(slices[0].patient_id, frozenset(s.study for s in slices if s.study))
    first = slices[int(order[0])]
    corner = None
    if first.corner is not None and first.axes is not None:
        corner = first.axes.reshape(2, 3) @ first.corner
    names = tuple(slices[i].name for i in order)
    same = [_common_word(slices, what) for what in ("kernel", "acquisition", "description")]
    one = Series(folder, hu, position[order], slices[0].spacing, key, key, belonging, corner, first.axes, names, *same)
    return one, []


def _common_word(slices: Sequence[CTSlice], what: str) -> str:
    """The text of a tag where all slices have one; empty where they differ."""
    words = {getattr(one, what) for one in slices}
    return words.pop() if len(words) == 1 else ""


def grouped(slices: Sequence[CTSlice]) -> list[tuple[str, list[CTSlice]]]:
    """The series that slices belong to: folder and slices of each.

    A series is what carries one SeriesInstanceUID of one patient and study, be it in one folder or in several. Folders that
    do not continue each other, such as copies or reformats, are series of their own, and so are kernels or acquisitions that
    are mixed within one folder.
    """
    by_uid: dict[tuple[str, ...], list[CTSlice]] = {}
    for one in slices:
        own = (one.uid, one.patient_id, one.study) if one.uid else ("", _folder(one))
        by_uid.setdefault(own, []).append(one)
    found = []
    for of_uid in by_uid.values():
        by_folder = _split(of_uid, _folder)
        for group in [of_uid] if len(by_folder) > 1 and _one_stack(of_uid) else by_folder:
            found += [(_common(part), part) for part in _told_apart(group)]
    return found


def _folder(one: CTSlice) -> str:
    return one.name.rpartition("/")[0] or "."


def _common(slices: Sequence[CTSlice]) -> str:
    """The folder that holds all of the slices."""
    folders = [_folder(one).split("/") for one in slices]
    same = [parts[0] for parts in itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))]
    return "/".join(same) or "."


def _split(slices: Sequence[CTSlice], by: Callable[[CTSlice], Hashable]) -> list[list[CTSlice]]:
    groups: dict[Hashable, list[CTSlice]] = {}
    for one in slices:
        groups.setdefault(by(one), []).append(one)
    return list(groups.values())


def _one_stack(slices: Sequence[CTSlice]) -> bool:
    """Whether slices lie behind each other: of one shape, spacing and orientation, and no two at one position."""
    position, problems = positions(slices)
    if position is None or problems or len({(s.hu.shape, s.spacing) for s in slices}) > 1:
        return False
    return bool((np.diff(np.sort(position)) >= SAME_POSITION_MM).all())


def _told_apart(slices: list[CTSlice]) -> list[list[CTSlice]]:
    """Slices of several kernels or acquisitions at the same positions, each on its own; as they are where neither helps."""
    if _one_stack(slices):
        return [slices]
    for by in (lambda s: s.kernel, lambda s: s.acquisition, lambda s: (s.kernel, s.acquisition)):
        parts = _split(slices, by)
        if len(parts) > 1 and all(_one_stack(part) for part in parts):
            return parts
    return [slices]


def positions(slices: Sequence[CTSlice]) -> tuple[np.ndarray | None, list[FileProblem]]:
    """Positions of slices along their normal in mm, float64 ``[n]``, or ``None`` when there are problems; and the problems.

    SliceLocation takes their place where position or orientation is missing and every slice has a SliceLocation.
    """
    lacking = [s.name for s in slices if s.corner is None or s.axes is None]
    locations = [s.location for s in slices if s.location is not None]
    if lacking and len(locations) == len(slices):
        return np.concatenate(locations), []
    if lacking:
        text = "no position: ImagePositionPatient or ImageOrientationPatient is missing or malformed"
        text = f"{text}; expected both, or SliceLocation in the whole series; export the series again"
        return None, [FileProblem(name, "tags", text) for name in lacking]
    axes = np.stack([s.axes for s in slices if s.axes is not None]).reshape(-1, 2, 3)
    corner = np.stack([s.corner for s in slices if s.corner is not None])
    usual = np.median(axes, axis=0)
    skewed = np.abs(axes @ axes.transpose(0, 2, 1) - np.eye(2)).max(axis=(1, 2)) > 1e-2
    turned = np.abs(axes - usual).max(axis=(1, 2)) > 1e-3
    if (skewed | turned).any():
        text = (
            "ImageOrientationPatient differs within the series or is not two perpendicular unit vectors; "
            "expected one orientation; remove the slices that differ"
        )
        differing = np.flatnonzero(skewed | turned).tolist()
        return None, [FileProblem(slices[i].name, "orientation", text) for i in differing]
    normal = np.cross(usual[0], usual[1])
    position = corner @ normal
    # In a tilted scan the table moves obliquely to the slice normal, whatever the tilt tag says.
    low, high = int(np.argmin(position)), int(np.argmax(position))
    rise = position[high] - position[low]
    drift = np.linalg.norm(corner[high] - corner[low] - rise * normal)
    if drift > np.tan(np.radians(LARGEST_TILT_DEG)) * rise + SAME_POSITION_MM:
        text = "gantry tilt: slices stacked obliquely; expected a scan without tilt; remove the series"
        return None, [FileProblem(slices[high].name, "orientation", text)]
    return position, []
