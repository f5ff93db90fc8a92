"""One line for an error: its first cause, what it led to, and where."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ipv2_bench.errors import InputError, cause_of


def chained() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second\nof two lines") from error
    except ValueError:
        raise RuntimeError("third")  # noqa: B904  the chain that Python keeps by itself


def hidden() -> None:
    try:
        raise KeyError("first")
    except KeyError:
        raise RuntimeError("third\nFor more information see …") from None


def noted() -> None:
    error = ZeroDivisionError("division by zero")
    error.add_note("on test slices [3, 4]")
    raise error


def silent() -> None:
    raise MemoryError


def long() -> None:
    raise ValueError("\n\n  " + 1000 * "x")


def meant() -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise InputError("x is y: set z") from error


def circular() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    raise one


@pytest.mark.parametrize(
    ("fails", "line"),
    [
        (chained, "KeyError: 'first'; then RuntimeError: third"),
        (hidden, "RuntimeError: third"),
        (noted, "ZeroDivisionError: division by zero, on test slices [3, 4]"),
        (silent, "MemoryError"),
        (long, "ValueError: " + 300 * "x"),
        (meant, "x is y: set z"),
        (circular, "ValueError: other; then ValueError: one"),
    ],
)
def test_the_line_names_the_first_cause(fails: Callable[[], None], line: str) -> None:
    with pytest.raises((Exception, MemoryError)) as caught:
        fails()
    assert cause_of(caught.value) == line
