"""Progress of the cells: bars on a terminal; otherwise one line for each cell and each tenth of its stages."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from ipv2_bench.progress import Tenths, line, on_terminal


def stage_kind(stage: str) -> str:
    """A stage without the number of its epoch: ``training`` for ``epoch 3``, ``fold 1/2, training`` for ``fold 1/2, epoch 3``."""
    fold, epoch, _ = stage.partition("epoch")
    return f"{fold}training" if epoch else stage


class Display(Protocol):
    """Shows how far cells are; its methods may be called from several threads."""

    def update(self, name: str, stage: str, step: int, total: int) -> None:
        """A running cell has reached a step of a stage."""

    def finish(self, name: str) -> None:
        """A cell is complete."""

    def fail(self, name: str, message: str) -> None:
        """A cell could not be completed."""

    def note(self, text: str) -> None:
        """Something else that is worth a line."""

    def close(self) -> None:
        """Nothing more will be shown."""


def display(total: int, done: int, enabled: bool) -> Display:
    """The display for this stderr.

    Parameters
    ----------
    total, done
        Number of all cells, and of those that are complete.
    enabled
        ``False`` shows failures only.
    """
    if not enabled:
        return Silent()
    return Bars(total, done) if on_terminal() else Lines(total, done)


class Silent:
    """Shows failures only."""

    def update(self, name: str, stage: str, step: int, total: int) -> None:
        """See :class:`Display`."""

    def finish(self, name: str) -> None:
        """See :class:`Display`."""

    def fail(self, name: str, message: str) -> None:
        """See :class:`Display`."""
        line(f"failed: {name}: {message}")

    def note(self, text: str) -> None:
        """See :class:`Display`."""

    def close(self) -> None:
        """See :class:`Display`."""


class Lines(Silent):
    """A line for each tenth of a cell's stage, and one for each cell."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        self._tenths: dict[tuple[str, str], Tenths] = {}
        self._lock = threading.Lock()

    def update(self, name: str, stage: str, step: int, total: int) -> None:
        """See :class:`Display`."""
        if stage == "measuring":
            return
        kind = stage_kind(stage)
        with self._lock:
            key = (name, kind)
            if key not in self._tenths:
                self._tenths[key] = Tenths(f"{name}: {kind}", total, "step" if kind.endswith("training") else "slice")
            self._tenths[key].at(step)

    def finish(self, name: str) -> None:
        """See :class:`Display`."""
        with self._lock:
            self._done += 1
            line(f"cell {self._done} of {self._total} complete: {name}")

    def note(self, text: str) -> None:
        """See :class:`Display`."""
        line(text)


class Bars:
    """A bar for all cells, and one for each that runs."""

    def __init__(self, total: int, done: int) -> None:
        from tqdm import tqdm

        self._tqdm = tqdm
        self._bars: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._all = tqdm(total=total, initial=done, desc="cells", unit="cell", position=0)

    def update(self, name: str, stage: str, step: int, total: int) -> None:
        """See :class:`Display`."""
        with self._lock:
            if name not in self._bars:
                self._bars[name] = self._tqdm(total=total, desc=name, leave=False, position=len(self._bars) + 1)
            bar = self._bars[name]
            if bar.total != total:
                bar.reset(total=total)
            bar.set_description_str(f"{name} · {stage}", refresh=False)
            bar.n = step
            bar.refresh()

    def finish(self, name: str) -> None:
        """See :class:`Display`."""
        with self._lock:
            self._close(name)
            self._all.update(1)

    def fail(self, name: str, message: str) -> None:
        """See :class:`Display`."""
        with self._lock:
            self._close(name)
            self._tqdm.write(f"failed: {name}: {message}")

    def note(self, text: str) -> None:
        """See :class:`Display`."""
        with self._lock:
            self._tqdm.write(text)

    def close(self) -> None:
        """See :class:`Display`."""
        with self._lock:
            for name in list(self._bars):
                self._close(name)
            self._all.close()

    def _close(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()
