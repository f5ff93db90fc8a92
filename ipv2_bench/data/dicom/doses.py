"""Which series of a tree are of low and which of normal dose, as their descriptions or folders say.

Public data hold both doses side by side below each patient, such as "Full Dose Images" and "Low Dose Images" (TCIA,
LDCT-and-Projection-data) or ``full_1mm`` and ``quarter_1mm`` (the Mayo challenge of 2016).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipv2_bench.data.dicom.series import Series

_LOW_WORDS, _NORMAL_WORDS = "ultra ?low|low|quarter|half|reduced", "full|normal|routine|standard|high"
_LOW = re.compile(rf"\b(?:(?:{_LOW_WORDS}) ?dose|(?:u|q)?ldct|qdct|uld|ld|qd|lq)\b")
_NORMAL = re.compile(rf"\b(?:(?:{_NORMAL_WORDS}) ?dose|[nfr]dct|nd|fd|gt)\b")
_LOW_FOLDER = re.compile(r"\b(?:ultra ?low|low|quarter)(?= \d|$)")
_NORMAL_FOLDER = re.compile(r"\b(?:full|normal|routine)(?= \d|$)")
"""Words that need no "dose" in a folder's name where they end it or a number follows: ``quarter_1mm``."""

_LONG_NUMBER = re.compile(r"\b\d{4,}\b")
"""Numbers that tell copies and dates apart, never doses or slice distances."""

COLLECTIONS = ("ldct-and-projection-data",)
"""Names of public data sets, in small letters, which hold words of a dose and say nothing of a series."""


@dataclass(frozen=True)
class DoseName:
    """What a name says of a dose.

    Attributes
    ----------
    low
        Whether it is the low dose, and not the normal one.
    rest
        The other words of the name in small letters, without long numbers.
    """

    low: bool
    rest: str


@dataclass(frozen=True)
class ByDose:
    """The series of a tree by dose.

    Attributes
    ----------
    low, normal
        Those whose names say so, with :attr:`~ipv2_bench.data.dicom.series.Series.label` and ``folder_without_dose``.
    unknown
        Those whose names say neither, or both.
    """

    low: list[Series]
    normal: list[Series]
    unknown: list[Series]


def by_dose(series: Sequence[Series]) -> ByDose:
    """Divide series by SeriesDescription, or by their folders from the innermost to the outermost."""
    groups = ByDose([], [], [])
    for one in series:
        folders = one.folder.split("/")
        names = [_in_description(one.description), *map(_in_folder, reversed(folders))]
        name = next((name for name in names if name is not None), None)
        if name is None:
            groups.unknown.append(one)
            continue
        without = "/".join(_without_dose(folder, in_folder=True) for folder in folders)
        (groups.low if name.low else groups.normal).append(replace(one, label=name.rest, folder_without_dose=without))
    return groups


def _in_description(text: str) -> DoseName | None:
    """The dose that a description names; ``None`` where it names neither or both."""
    words = _words(text)
    return _dose_name(text, bool(_LOW.search(words)), bool(_NORMAL.search(words)), in_folder=False)


def _in_folder(text: str) -> DoseName | None:
    """The dose that a folder's name names; ``None`` where it names neither or both."""
    words = _words(text)
    low = bool(_LOW.search(words) or _LOW_FOLDER.search(words))
    return _dose_name(text, low, bool(_NORMAL.search(words) or _NORMAL_FOLDER.search(words)), in_folder=True)


def _dose_name(text: str, low: bool, normal: bool, in_folder: bool) -> DoseName | None:
    if low == normal or text.casefold() in COLLECTIONS:
        return None
    return DoseName(low, _without_dose(text, in_folder))


def _words(text: str) -> str:
    """What stands between separators in a text, in small letters, one space between them."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def _without_dose(text: str, in_folder: bool) -> str:
    """The words of a text but those of a dose, and without long numbers."""
    words = _words(text)
    for pattern in (_LOW, _NORMAL, *((_LOW_FOLDER, _NORMAL_FOLDER) if in_folder else ()), _LONG_NUMBER):
        words = pattern.sub(" ", words)
    return " ".join(words.split())
