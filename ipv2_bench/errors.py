"""The one error that a user is meant to read."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(Exception):
    """Something handed to the program is not usable: a file, a setting, a name.

    The message names what was found, what was expected and what to do. The command line prints it
    without a trace and ends with exit code 2.
    """


class Submitted(Exception):
    """Work was handed over to a queue, and nobody waits for it; the text says to which. The command line prints it."""


def refuse(problems: Sequence[str], what: str) -> None:
    """Raise one :class:`InputError` that lists every problem, or return when there is none.

    Parameters
    ----------
    problems
        One line each, already naming file, finding, expectation and remedy.
    what
        What was checked, for the heading (``"data set"``).
    """
    if not problems:
        return
    if len(problems) == 1:
        raise InputError(problems[0])
    lines = "\n".join(f"  {i}. {line}" for i, line in enumerate(problems, 1))
    raise InputError(f"{len(problems)} problems in the {what}:\n{lines}")


def cause_of(error: BaseException) -> str:
    """What went wrong, in one line: type and first line of the first cause, what it led to, and where it happened.

    The first cause is the oldest error of the chain that Python keeps; where it happened are the notes that were added to it.
    What an :class:`InputError` says is meant to be read as it is.
    """
    if isinstance(error, InputError):
        return str(error)
    chain = [error]
    while (before := _before(chain[-1])) is not None and before not in chain:
        chain.append(before)
    first, last = chain[-1], chain[0]
    text = _line(first) if first is last else f"{_line(first)}; then {_line(last)}"
    notes = [note for one in reversed(chain) for note in getattr(one, "__notes__", ())]
    return ", ".join([text, *dict.fromkeys(notes)])


def _before(error: BaseException) -> BaseException | None:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None if type(before).__name__ == "_RemoteTraceback" else before  # the same error, as text, of a worker


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
