"""Which uLDCT slice and which NDCT slice of a patient lie at the same height."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ipv2_bench.data.findings import Findings, shown
from ipv2_bench.data.series import Series
from ipv2_bench.errors import InputError

RULES = ("patient_id", "folder")


@dataclass(frozen=True)
class SeriesPair:
    """Two series of one patient.

    Attributes
    ----------
    low, normal
        uLDCT and NDCT.
    places
        Slices of ``low`` and of ``normal`` that belong together, [k, 2], from below.
    """

    low: Series
    normal: Series
    places: np.ndarray

    @property
    def same_grid(self) -> bool:
        """Whether pixels lie on each other: one shape, one spacing, and corners less than half a pixel apart."""
        if self.low.hu.shape[1:] != self.normal.hu.shape[1:]:
            return False
        if not np.isclose(self.low.spacing_mm, self.normal.spacing_mm, rtol=1e-3, atol=0):
            return False
        corners = (self.low.corner_mm, self.normal.corner_mm)
        if corners[0] is None or corners[1] is None:
            return True
        return bool(np.abs(corners[0] - corners[1]).max() < 0.5 * self.low.spacing_mm)


def match(
    low: Sequence[Series], normal: Sequence[Series], by: str, tolerance_mm: float, findings: Findings
) -> list[SeriesPair]:
    """Pair the series of two trees, and their slices by position.

    Parameters
    ----------
    low, normal
        Series of either tree.
    by
        ``patient_id``: series with the same patient number; ``folder``: those in folders of the same name.
    tolerance_mm
        Largest distance of two slices that count as one height.
    findings
        Takes series without a partner, with more than one, or without a common height.

    Raises
    ------
    InputError
        For an unknown rule, or where patients are not told.
    """
    if by not in RULES:
        raise InputError(f"data.match_by is '{by}': use one of {', '.join(RULES)}")
    lacking = sum(not s.belonging.patient_id for s in (*low, *normal))
    if by == "patient_id" and lacking:
        raise InputError(f"{lacking} series do not tell their PatientID: set data.match_by=folder")
    sides: list[dict[str, list[Series]]] = [defaultdict(list), defaultdict(list)]
    for side, found in zip(sides, (low, normal), strict=True):
        for series in found:
            side[series.belonging.patient_id if by == "patient_id" else series.folder].append(series)
    pairs = []
    for who in sorted({*sides[0], *sides[1]}, key=lambda w: min(s.key for side in sides for s in side.get(w, []))):
        own, others = sides[0].get(who, []), sides[1].get(who, [])
        named = (own or others)[0].names[0]
        if not own or not others:
            there, lack = ("uLDCT", "NDCT") if own else ("NDCT", "uLDCT")
            text = f"no {lack} of the same {by.replace('_id', '')} as this {there} series; expected both; add or remove one"
            findings.add(named, "orphan", text)
            continue
        if len(own) > 1 or len(others) > 1:
            text = (
                f"{len(own)} uLDCT and {len(others)} NDCT series of one {by.replace('_id', '')}; expected one of each"
            )
            findings.add(named, "duplicate", f"{text}; remove the others, or set data.match_by=folder")
            continue
        places = _places(own[0].position_mm, others[0].position_mm, tolerance_mm)
        if not len(places):
            text = (
                f"no slice lies within {tolerance_mm:g} mm of one of {shown(others[0].folder)}; expected common heights"
            )
            findings.add(named, "orphan", f"{text}; set data.tolerance_mm or check the series")
            continue
        pairs.append(SeriesPair(own[0], others[0], places))
    return pairs


def _places(low_mm: np.ndarray, normal_mm: np.ndarray, tolerance_mm: float) -> np.ndarray:
    """Pairs of slices that are each other's nearest and close enough, [k, 2]."""
    distance = np.abs(low_mm[:, None] - normal_mm[None])
    nearest, back = distance.argmin(1), distance.argmin(0)
    own = np.arange(len(low_mm))
    keep = (back[nearest] == own) & (distance[own, nearest] <= tolerance_mm + 1e-6)
    return np.stack([own[keep], nearest[keep]], axis=1)
