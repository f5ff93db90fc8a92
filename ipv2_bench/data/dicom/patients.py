"""Grouping of series by patient, so that no patient is on two sides of a split."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ipv2_bench.errors import InputError

logger = logging.getLogger("ipv2_bench")

RULES = ("auto", "patient_id", "study", "series")
"""Values of ``data.patients_by``."""


@dataclass(frozen=True)
class Belonging:
    """Patient and studies of a series, as salted hashes that are equal for equal values; empty where a tag is missing."""

    patient_id: str
    studies: frozenset[str]


def group_patients(series: Mapping[str, Belonging], rule: str = "auto") -> dict[str, str]:
    """Pseudonym of the patient of every series, by key of the series: the smallest key of the patient's series.

    Parameters
    ----------
    series
        Patient and studies of each series, by its key.
    rule
        ``series``: every series is a patient of its own. ``study``: series of one study are one patient.
        ``patient_id``: series with the same patient number are one patient. ``auto``: series with the same study or the same
        patient number are one patient, except that a number which all series of several studies carry is taken for an
        anonymiser's filler and ignored.

    Raises
    ------
    InputError
        For an unknown rule, or where the tag that a rule needs is missing.
    """
    if rule not in RULES:
        raise InputError(f"data.patients_by is '{rule}': use one of {', '.join(RULES)}")
    lacking = {
        "patient_id": sum(not b.patient_id for b in series.values()),
        "study": sum(not b.studies for b in series.values()),
    }
    if lacking.get(rule):
        raise InputError(
            f"data.patients_by is {rule}, which {lacking[rule]} of {len(series)} series do not have: "
            "use auto, or series where each series is another patient"
        )
    numbers = {b.patient_id for b in series.values() if b.patient_id}
    by_study = _linked({k: b.studies for k, b in series.items()})
    filler = len(numbers) == 1 and all(b.patient_id for b in series.values()) and len(by_study) > 1
    if rule == "auto" and filler and len(series) > 1:
        logger.warning(
            "all series carry one patient number, which looks like an anonymiser's: patients are told apart by study; "
            "if it is one patient, set data.patients_by=patient_id"
        )
    marks: dict[str, set[str]] = {k: set() for k in series}
    for key, belonging in series.items():
        if rule in ("auto", "study"):
            marks[key] |= {f"study {s}" for s in belonging.studies}
        if belonging.patient_id and (rule == "patient_id" or (rule == "auto" and not filler)):
            marks[key].add(f"number {belonging.patient_id}")
    return {key: min(group) for group in _linked(marks) for key in group}


def _linked(marks: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Groups of keys that are linked, directly or through others, by common marks."""
    groups: list[tuple[set[str], set[str]]] = []
    for key, own_marks in marks.items():
        keys, group_marks = {key}, set(own_marks)
        unlinked = []
        for other_keys, other_marks in groups:
            if other_marks & group_marks:
                keys |= other_keys
                group_marks |= other_marks
            else:
                unlinked.append((other_keys, other_marks))
        groups = [*unlinked, (keys, group_marks)]
    return [keys for keys, _ in groups]
