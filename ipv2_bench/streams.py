"""Standard output and error that never end the work: characters that they cannot show, closed pipes, full disks, none at all."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

PLAIN = {
    "×": "x", "·": "-", "→": "->", "…": "...", "−": "-", "–": "-", "—": "-", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "²": "2",
    "µ": "u", "μ": "u", "°": " deg", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
"""What stands for a character where an encoding, such as ASCII, does not have it."""

ERRORS = "ipv2-bench"
"""Name of the rule by which :data:`PLAIN` stands for what an encoding does not have."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in characters), error.end


codecs.register_error(ERRORS, _plain)


class SafeStream:
    """A text stream whose first failed write is its last: what comes later goes nowhere, and the work goes on.

    Parameters
    ----------
    stream
        What is written to.
    name
        What it is called in the one line that says why it cannot be written.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, unless a write has failed."""
        if self.failure is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write, unless a write has failed."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Flush, unless a write has failed."""
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    @property
    def lost(self) -> str:
        """Why something could not be written; empty where nobody wanted it, as behind ``| head``."""
        if self.failure is None or self.failure.errno == errno.EPIPE:
            return ""
        return f"{self._name} cannot be written: {self.failure.strerror or self.failure}"

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        # What the buffer holds would fail again when the interpreter ends.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def install() -> tuple[SafeStream, SafeStream]:
    """Let ``sys.stdout`` and ``sys.stderr`` be safe for the rest of this process; both streams."""
    _open_missing()
    streams = (_safe(sys.stdout, "standard output"), _safe(sys.stderr, "standard error"))
    sys.stdout, sys.stderr = streams  # type: ignore[assignment]
    return streams


@contextmanager
def safe_streams() -> Iterator[SafeStream]:
    """Like :func:`install` until the end of the context; yields standard output."""
    before = sys.stdout, sys.stderr
    out, error = install()
    try:
        yield out
    finally:
        out.flush()
        error.flush()
        if before[0] is not None and before[1] is not None:
            sys.stdout, sys.stderr = before


def _open_missing() -> None:
    """Give closed streams a place that swallows what is written: else the next file that is opened takes theirs."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (for the rest of the process)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (for the rest of the process)


def _safe(stream: TextIO, name: str) -> SafeStream:
    if isinstance(stream, SafeStream):
        return stream
    with suppress(AttributeError, ValueError, OSError):  # what stands in for a stream in a notebook cannot be told
        stream.reconfigure(errors=ERRORS)  # type: ignore[attr-defined]
    return SafeStream(stream, name)
