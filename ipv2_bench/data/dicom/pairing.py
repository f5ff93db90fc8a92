"""Pairing of ultra-low-dose (uLDCT) and normal-dose (NDCT) series by patient, and of their slices by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.findings import Findings, LeftOut, shown
from ipv2_bench.errors import InputError

RULES = ("patient_id", "folder")
"""Values of ``data.match_by``."""

SAME_AXES = 1e-2
"""Largest difference in any part of the directions of rows and columns of two series of one orientation, about half a degree."""


@dataclass(frozen=True)
class SeriesPair:
    """Two series of one patient.

    Attributes
    ----------
    low, normal
        uLDCT and NDCT.
    indices
        Indices of the slices of ``low`` and of ``normal`` that belong together, [k, 2], by ascending position of ``low``.
    """

    low: Series
    normal: Series
    indices: np.ndarray

    @property
    def same_orientation(self) -> bool:
        """Whether rows and columns have the same directions in the patient; true where the tags do not hold them."""
        axes = (self.low.axes, self.normal.axes)
        return axes[0] is None or axes[1] is None or bool(np.abs(axes[0] - axes[1]).max() <= SAME_AXES)

    @property
    def same_grid(self) -> bool:
        """Whether the pixels coincide: the same shape and spacing, and corners less than half a pixel apart."""
        if self.low.hu.shape[1:] != self.normal.hu.shape[1:]:
            return False
        if not np.isclose(self.low.spacing_mm, self.normal.spacing_mm, rtol=1e-3, atol=0):
            return False
        corners = (self.low.corner_mm, self.normal.corner_mm)
        if corners[0] is None or corners[1] is None:
            return True
        return bool(np.abs(corners[0] - corners[1]).max() < 0.5 * self.low.spacing_mm)


def match(
    low: Sequence[Series],
    normal: Sequence[Series],
    by: str,
    tolerance_mm: float,
    findings: Findings,
    alone: LeftOut | None = None,
) -> list[SeriesPair]:
    """Pair the series of two trees, and their slices by position.

    Parameters
    ----------
    low, normal
        Series of either tree.
    by
        ``patient_id``: series with the same patient number; ``folder``: series in folders of the same name. Several series of
        one patient are told apart by their labels.
    tolerance_mm
        Largest distance in mm of two slices that count as one position.
    findings
        Receives series without a partner, with more than one, of another orientation, or without a common position.
    alone
        Counts series without a partner, which are then no problem.

    Raises
    ------
    InputError
        For an unknown rule, or where the rule is ``patient_id`` and series lack it.
    """
    if by not in RULES:
        raise InputError(f"data.match_by is '{by}': use one of {', '.join(RULES)}")
    lacking = sum(not s.belonging.patient_id for s in (*low, *normal))
    if by == "patient_id" and lacking:
        raise InputError(f"{lacking} series have no PatientID: set data.match_by=folder")
    unit = by.replace("_id", "")
    pairs = []
    for lows, normals in _partners(low, normal, by):
        name = (lows or normals)[0].names[0]
        if not lows or not normals:
            present, missing = ("uLDCT", "NDCT") if lows else ("NDCT", "uLDCT")
            if alone is not None:
                alone.add(f"{present} series without {missing}", name)
                continue
            text = f"no {missing} of the same {unit} as this {present} series; expected both; add or remove one"
            findings.add(name, "orphan", text)
            continue
        if len(lows) > 1 or len(normals) > 1:
            text = f"{len(lows)} uLDCT and {len(normals)} NDCT series of one {unit}; expected one of each"
            findings.add(name, "duplicate", f"{text}; {_remedy(lows, normals, by)}")
            continue
        if lows[0].key == normals[0].key:
            text = f"each scan is paired with itself: uLDCT and NDCT ({shown(normals[0].folder)}) hold the same pixels"
            findings.add(name, "duplicate", f"{text}; expected two scans; set data.low and data.normal to them")
            continue
        other = turned(normals[0], lows[0].axes)
        indices = _nearest_pairs(lows[0].position_mm, other.position_mm, tolerance_mm)
        pair = SeriesPair(lows[0], other, indices)
        if not pair.same_orientation:
            text = f"ImageOrientationPatient is oblique to that of {shown(normals[0].folder)}; expected one orientation for both"
            findings.add(name, "orientation", f"{text}; reformat one of the series or remove both")
        elif not len(indices):
            text = f"no slice is within {tolerance_mm:g} mm of one of {shown(normals[0].folder)}; expected common positions"
            findings.add(name, "orphan", f"{text}; set data.tolerance_mm or check the series")
        else:
            pairs.append(pair)
    return pairs


def turned(series: Series, axes: np.ndarray | None) -> Series:
    """A series in another orientation, its pixels exchanged and not interpolated.

    Rows and columns are exchanged or reversed, and the order of slices is reversed, as the directions say; so that a prone,
    mirrored or feet-first scan shows the patient as the other one does. Where no exchange brings it there, it stays as it is.

    Parameters
    ----------
    series
        A series.
    axes
        Directions of rows and columns to turn to, [6]; ``None`` where they are not known.
    """
    if axes is None or series.axes is None or series.corner_mm is None:
        return series
    own, wanted = series.axes.reshape(2, 3), axes.reshape(2, 3)
    across = wanted @ own.T  # how far each wanted direction goes along each own one: 1, −1 or 0
    exact = np.rint(across)
    if np.abs(across - exact).max() > SAME_AXES or (np.abs(exact).sum(axis=1) != 1).any() or np.array_equal(exact, np.eye(2)):
        return series
    height, width = series.hu.shape[1:]
    # Where the pixel lies that is first after the exchange, in the own plane: the far end of a direction that is reversed.
    ends = np.array([width - 1, height - 1]) * series.spacing_mm
    first = series.corner_mm + np.where(exact.sum(axis=0) < 0, ends, 0.0)
    hu = series.hu
    for direction, axis in ((0, 2), (1, 1)):  # the own rows run along the last axis of the array
        if exact[:, direction].sum() < 0:
            hu = np.flip(hu, axis)
    if exact[0, 0] == 0:
        hu = hu.transpose(0, 2, 1)
    # The slice normal keeps its line; it is reversed by a mirror.
    side = round(float(np.linalg.det(exact)))
    order = slice(None) if side > 0 else slice(None, None, -1)
    return replace(
        series,
        hu=hu[order],
        position_mm=(side * series.position_mm)[order],
        corner_mm=exact @ first,
        axes=(exact @ own).reshape(6),
        names=series.names[order],
    )


def _partners(low: Sequence[Series], normal: Sequence[Series], by: str) -> list[tuple[list[Series], list[Series]]]:
    """uLDCT and NDCT series that could be partners, group by group, in an order that no file name shapes.

    Those of one patient, or of folders of one name. Several of a patient are divided by their labels where both sides have them.
    """

    def name_of(one: Series) -> str:
        if by == "patient_id":
            return one.belonging.patient_id
        return one.folder if one.folder_without_dose is None else one.folder_without_dose

    groups: dict[str, tuple[list[Series], list[Series]]] = defaultdict(lambda: ([], []))
    for side, series in enumerate((low, normal)):
        for one in series:
            groups[name_of(one)][side].append(one)
    divided = [part for group in groups.values() for part in _by_label(*group)]
    return sorted(divided, key=lambda part: min(one.key for side in part for one in side))


def _by_label(lows: list[Series], normals: list[Series]) -> list[tuple[list[Series], list[Series]]]:
    """One group as it is where it holds one series of each side at most, or no label of both sides; else one for each label."""
    labels = sorted({one.label for one in (*lows, *normals)})
    common = {one.label for one in lows} & {one.label for one in normals}
    if max(len(lows), len(normals)) < 2 or not common:
        return [(lows, normals)]
    return [([one for one in lows if one.label == label], [one for one in normals if one.label == label]) for label in labels]


def _remedy(lows: Sequence[Series], normals: Sequence[Series], by: str) -> str:
    """What to do about several series that could be partners."""
    for what in ("kernel", "acquisition"):
        words = [[getattr(one, what) for one in side] for side in (lows, normals)]
        choices = [word for word in sorted(set(words[0]) - {""}) if words[0].count(word) == words[1].count(word) == 1]
        if choices:
            return f"choose one with data.{what}: {', '.join(choices)}"
    remedy = "set data.match_by=folder" if by == "patient_id" else "give each series a folder of its own"
    return f"remove the others, or {remedy}"


def _nearest_pairs(low_mm: np.ndarray, normal_mm: np.ndarray, tolerance_mm: float) -> np.ndarray:
    """Indices of the slices that are each other's nearest and at most ``tolerance_mm`` apart, [k, 2]."""
    distance = np.abs(low_mm[:, None] - normal_mm[None])
    nearest_normal, nearest_low = distance.argmin(1), distance.argmin(0)
    own = np.arange(len(low_mm))
    keep = (nearest_low[nearest_normal] == own) & (distance[own, nearest_normal] <= tolerance_mm + 1e-6)
    return np.stack([own[keep], nearest_normal[keep]], axis=1)
