"""The base class of all sources of data."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ipv2_bench.data.second_scan import ScannedSlice
from ipv2_bench.data.slices import Made, SliceSet, stored
from ipv2_bench.fingerprint import code, digest
from ipv2_bench.physics.intensity import Window
from ipv2_bench.processes import worker_pool


class Source(ABC):
    """Makes the pairs of a benchmark. To write one: ``identity`` and ``make``, and options in ``__init__``."""

    @abstractmethod
    def identity(self) -> dict:
        """Everything that determines the slices, as plain JSON values and without paths: equal identity, equal data."""

    @abstractmethod
    def make(self, window: Window, size: int, progress: bool) -> Made:
        """All slices at ``size``."""

    cache: Path | None = None
    """Folder for what is worth keeping between runs; set by :meth:`slices`."""

    def slices(self, cache: Path, window: Window, size: int, progress: bool = False) -> SliceSet:
        """The slice set at ``size``, from the ``cache`` folder or made there."""
        self.cache = cache
        identity = [type(self).__name__, self.identity(), [window.low, window.high], size, code("physics", "data")]
        return stored(cache / digest(identity), lambda: self.make(window, size, progress))


def scratch(folder: Path | None, n: int, size: int) -> np.ndarray:
    """An array float32 [n, size, size] on the disk, which goes away with it: for more slices than memory holds."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.float32, "w+", shape=(n, size, size))


def assemble(
    scanned: Iterator[ScannedSlice],
    patient: Sequence[str],
    window: Window,
    key: Sequence[str],
    stack: Sequence[str] = (),
) -> Made:
    """Scanned slices in HU → what :meth:`Source.make` returns."""
    found = list(scanned)
    arrays = {
        name: np.stack([window.unit(getattr(one, name)) for one in found])
        for name in ("low", "normal", "truth")
        if found
    }
    nodules = [one.nodules for one in found if one.nodules is not None]
    if nodules:
        arrays["nodules"] = np.stack(nodules)
    return Made(arrays, patient, np.array([one.pixel_mm for one in found]), stack, key)


def in_parallel(function: object, jobs: Sequence, progress: bool, title: str, workers: int) -> Iterator:
    """``map(function, jobs)`` over processes, in order, with a progress bar."""
    from tqdm import tqdm

    bar = {"desc": title, "total": len(jobs), "disable": not progress, "unit": "slice", "leave": False}
    if workers <= 1 or len(jobs) < 8:
        yield from tqdm(map(function, jobs), **bar)  # type: ignore[call-overload]
        return
    with worker_pool(workers) as pool:
        yield from tqdm(pool.map(function, jobs, chunksize=6), **bar)  # type: ignore[arg-type]
