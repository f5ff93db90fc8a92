"""Which series of a tree are of low and which of normal dose, as their descriptions or folders say.

Public data come as they were measured: both doses side by side below each patient, such as "Full Dose Images" and "Low Dose
Images" (TCIA, LDCT-and-Projection-data) or ``full_1mm`` and ``quarter_1mm`` (the Mayo challenge of 2016).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipv2_bench.data.dicom.series import Series

_LOW = re.compile(r"\b(?:(?:(?:ultra ?)?low|quarter|half|reduced) ?dose|(?:ultra ?)?low|quarter|u?ldct|qdct|uld|ld|qd|lq)\b")
_NORMAL = re.compile(r"\b(?:(?:full|normal|routine|standard|high) ?dose|full|normal|routine|(?:n|f|r)dct|nd|fd|gt)\b")
_LONG_NUMBER = re.compile(r"\b\d{4,}\b")
"""Numbers that tell copies and dates apart, never doses or slice distances."""


@dataclass(frozen=True)
class ByDose:
    """The series of a tree, told apart by dose.

    Attributes
    ----------
    low, normal
        Those that say so; ``label`` and ``place`` of each hold what else the words say.
    other
        Those that say neither, or both.
    """

    low: list[Series]
    normal: list[Series]
    other: list[Series]


def by_dose(series: Sequence[Series]) -> ByDose:
    """Tell series apart by SeriesDescription, or by their folders from the innermost to the outermost."""
    found = ByDose([], [], [])
    for one in series:
        told = next(filter(None, map(_told, [one.description, *reversed(one.folder.split("/"))])), None)
        if told is None:
            found.other.append(one)
            continue
        low, label = told
        place = "/".join(_without(part) for part in one.folder.split("/"))
        (found.low if low else found.normal).append(replace(one, label=label, place=place))
    return found


def _told(text: str) -> tuple[bool, str] | None:
    """Whether a text says low or normal dose, and what else it says; ``None`` where it says neither or both."""
    words = _words(text)
    low, normal = bool(_LOW.search(words)), bool(_NORMAL.search(words))
    return None if low == normal else (low, _without(text))


def _words(text: str) -> str:
    """The words and numbers of a text in lower case, one space between them."""
    return " ".join(re.findall(r"[^\W\d_]+|\d+", text.casefold()))


def _without(text: str) -> str:
    """A text without what it says of the dose, and without long numbers."""
    words = _words(text)
    for pattern in (_LOW, _NORMAL, _LONG_NUMBER):
        words = pattern.sub(" ", words)
    return " ".join(words.split())
