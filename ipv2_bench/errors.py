"""The one error that a user is meant to read."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(Exception):
    """Something handed to the program is not usable: a file, a setting, a name.

    The message names what was found, what was expected and what to do. The command line prints it
    without a trace and ends with exit code 2.
    """


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
