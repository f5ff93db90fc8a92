"""Which series are of one patient, so that no patient stands on two sides of a split."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ipv2_bench.errors import InputError

logger = logging.getLogger("ipv2_bench")

RULES = ("auto", "patient_id", "study", "series")


@dataclass(frozen=True)
class Belonging:
    """To whom a series belongs, as salted hashes that only tell equal from different; empty where a tag is missing."""

    patient_id: str
    studies: frozenset[str]


def group_patients(series: Mapping[str, Belonging], rule: str = "auto") -> dict[str, str]:
    """A pseudonym of its patient for every series: the smallest key of the patient's series.

    Parameters
    ----------
    series
        Key of each series → to whom it belongs.
    rule
        ``series``: every series is a patient of its own. ``study``: series of one study are one patient.
        ``patient_id``: series with the same patient number are. ``auto``: both of these, except that a number which
        several studies, and all of them, carry is taken for an anonymiser's filler and left out of account.

    Raises
    ------
    InputError
        For an unknown rule, or where the tag that a rule needs is missing.
    """
    if rule not in RULES:
        raise InputError(f"data.patients_by is '{rule}': use one of {', '.join(RULES)}")
    for tag, lacking in (
        ("patient_id", [k for k, b in series.items() if not b.patient_id]),
        ("study", [k for k, b in series.items() if not b.studies]),
    ):
        if rule == tag and lacking:
            raise InputError(
                f"data.patients_by is {rule}, which {len(lacking)} of {len(series)} series do not tell: "
                "use auto, or series where each series is another patient"
            )
    numbers = {b.patient_id for b in series.values() if b.patient_id}
    by_study = _joined({k: b.studies for k, b in series.items()})
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
    return {key: min(group) for group in _joined(marks) for key in group}


def _joined(marks: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Groups of keys that are linked by common marks."""
    groups: list[tuple[set[str], set[str]]] = []
    for key, own in marks.items():
        keys, seen = {key}, set(own)
        apart = []
        for other in groups:
            if other[1] & seen:
                keys |= other[0]
                seen |= other[1]
            else:
                apart.append(other)
        groups = [*apart, (keys, seen)]
    return [keys for keys, _ in groups]
