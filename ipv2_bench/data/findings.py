"""Problems of the files of a data set, gathered into one list."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

KINDS = (
    "unreadable",
    "damaged",
    "tags",
    "shape",
    "spacing",
    "orientation",
    "NaN",
    "constant",
    "HU range",
    "duplicate",
    "orphan",
    "gap",
    "swapped",
    "leakage",
)
"""Kinds of problems, in the order in which they are reported."""


class Problem(NamedTuple):
    """A problem of one file: its kind, one of :data:`KINDS`, and a text: the fact, the expectation and the remedy."""

    kind: str
    text: str


class Unusable(Exception):
    """A file cannot be used; ``args`` are those of a :class:`Problem`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.problem = Problem(kind, text)


@dataclass(frozen=True)
class Finding:
    """One problem, of one file or of several files of a folder.

    Attributes
    ----------
    kind
        One of :data:`KINDS`.
    name
        First file that has the problem, relative to the data's root.
    text
        The fact, the expectation and the remedy.
    more
        Number of further files of the same folder that have the same problem.
    """

    kind: str
    name: str
    text: str
    more: int = 0

    def __str__(self) -> str:
        return shown(self.name) + (f" (and {self.more} more here)" if self.more else "") + f": {self.text}"


class Findings:
    """Collection of problems; the same problem in many files of a folder becomes one :class:`Finding`."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    def add(self, name: str, kind: str, text: str) -> None:
        """Add a problem of the file ``name`` (relative, with ``/``)."""
        assert kind in KINDS, kind
        self._files[name.rpartition("/")[0], kind, text].append(name)

    def list(self) -> list[Finding]:
        """All problems, in the order in which they were added."""
        return [Finding(kind, names[0], text, len(names) - 1) for (_, kind, text), names in self._files.items()]


class LeftOut:
    """Files that are no slices, counted by reason, with an example of each."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._names)

    def __getitem__(self, reason: str) -> int:
        return len(self._names.get(reason, ()))

    def add(self, reason: str, name: str) -> None:
        """Count the file ``name`` (relative, with ``/``) under a reason."""
        self._names[reason].append(name)

    def counts(self) -> str:
        """Number and reason alone, to be kept where no name may stand."""
        return ", ".join(f"{len(names)} {reason}" for reason, names in sorted(self._names.items()))

    def __str__(self) -> str:
        """Number, reason and an example, such as ``3 localizer (such as a/b.dcm)``."""
        return ", ".join(f"{len(names)} {reason} (such as {shown(names[0])})" for reason, names in sorted(self._names.items()))


def shown(name: str) -> str:
    """A file's name with ``?`` for what cannot be printed, since a line break or an undecodable byte would break a message."""
    return "".join(c if c.isprintable() else "?" for c in name)
