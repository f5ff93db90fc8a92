"""Progress on stderr: bars on a terminal, otherwise one line for every tenth, without escape codes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

T = TypeVar("T")


def on_terminal() -> bool:
    """Whether stderr is a terminal, on which bars can be redrawn."""
    return bool(getattr(sys.stderr, "isatty", lambda: False)())


def track(
    items: Iterable[T], title: str, total: int | None = None, unit: str = "slice", enabled: bool = True
) -> Iterator[T]:
    """The items, one after the other, with progress shown.

    Parameters
    ----------
    items, total
        What is worked on, and how many there are; ``len(items)`` when ``None``.
    title, unit
        What is done, and what one item is called.
    enabled
        ``False`` shows nothing.
    """
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    if not enabled or not total:
        yield from items
    elif on_terminal():
        from tqdm import tqdm

        yield from tqdm(items, desc=title, total=total, unit=unit, leave=False)
    else:
        tenths = Tenths(title, total, unit)
        for done, item in enumerate(items, 1):
            yield item
            tenths.at(done)


class Counted:
    """Progress that is advanced by hand; use it as a context."""

    def __init__(self, title: str, total: int, unit: str = "slice", enabled: bool = True) -> None:
        self._done, self._bar, self._tenths = 0, None, None
        if enabled and total and on_terminal():
            from tqdm import tqdm

            self._bar = tqdm(desc=title, total=total, unit=unit)
        elif enabled and total:
            self._tenths = Tenths(title, total, unit)

    def advance(self, n: int = 1) -> None:
        """``n`` more are done."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        elif self._tenths is not None:
            self._tenths.at(self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class Tenths:
    """Prints a line whenever another tenth is done."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self._tenth = 0

    def at(self, done: int) -> None:
        """``done`` of all are done."""
        tenth = 10 * done // max(self.total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            line(f"{self.title}: {done} of {self.total} {self.unit}s")


def line(text: Any) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)
