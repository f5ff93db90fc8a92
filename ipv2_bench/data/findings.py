"""What is wrong with files of a data set, gathered into one list."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

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
"""What can be wrong, in the order in which it is reported."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind
        One of :data:`KINDS`.
    name
        First file that has it, relative to the data's root.
    text
        What was found, what was expected and what to do.
    more
        How many more files of the same folder have the same.
    """

    kind: str
    name: str
    text: str
    more: int = 0

    def __str__(self) -> str:
        return shown(self.name) + (f" (and {self.more} more here)" if self.more else "") + f": {self.text}"


class Findings:
    """Gathers what is wrong; the same in many files of a folder becomes one :class:`Finding`."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    def add(self, name: str, kind: str, text: str) -> None:
        """Note that the file ``name`` (relative, with ``/``) has something."""
        assert kind in KINDS, kind
        self._files[name.rpartition("/")[0], kind, text].append(name)

    def list(self) -> list[Finding]:
        """All of it, in the order in which it was found."""
        return [Finding(kind, names[0], text, len(names) - 1) for (_, kind, text), names in self._files.items()]


def shown(name: str) -> str:
    """A file's name on one line: a line break or an undecodable byte in it must not break a message."""
    return "".join(c if c.isprintable() else "?" for c in name)
