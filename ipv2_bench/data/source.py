"""The base class of all sources of data, and the helpers that sources share."""

from __future__ import annotations

import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ipv2_bench import data, physics
from ipv2_bench.data.slices import SliceSet, SourceSlices, open_or_make
from ipv2_bench.files import is_disk_error
from ipv2_bench.fingerprint import digest, version_of
from ipv2_bench.physics.intensity import Window
from ipv2_bench.processes import worker_pool
from ipv2_bench.progress import track
from ipv2_bench.registry import key_of

if TYPE_CHECKING:
    from ipv2_bench.data.second_scan import ScannedSlice

J = TypeVar("J")
T = TypeVar("T")

SHORT = 10.0
"""Seconds of processor time for which no processes are started, each of which takes three to begin."""


class Source(ABC):
    """A source of pairs. A subclass defines ``identity`` and ``make``, and takes its options in ``__init__``.

    A source in a module of :mod:`ipv2_bench.data.sources` is named by the module, another one by ``package.module:Class``.
    """

    version: int = 1
    """Version of the source: raise when the same options and files give other slices. Code that sources share is versioned by
    :data:`ipv2_bench.data.VERSION`. A class from outside of this package that does not set it is known by its source text."""

    @abstractmethod
    def identity(self) -> dict:
        """Everything that determines the slices, as plain JSON values and without paths: equal identity, equal data."""

    @abstractmethod
    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        """All slices, in HU; they are stored in steps of 1/8 HU.

        Parameters
        ----------
        window
            HU interval of images that are stored in [0, 1], such as PNG; slices in HU need it not and are not clipped.
        size
            N, pixels along a side.
        progress
            Show a progress bar on stderr.
        """

    cache: Path | None = None
    """Folder for files that are worth keeping between runs; set by :meth:`slices`."""

    def slices(self, cache: Path, window: Window, size: int, progress: bool = False) -> SliceSet:
        """The slice set at ``size``: opened from the ``cache`` folder, or made and stored there first."""
        self.cache = cache
        identity = [
            key_of(type(self)),
            version_of(type(self)),
            self.identity(),
            [window.low, window.high],
            size,
            {"data": data.VERSION, "physics": physics.VERSION},
        ]
        return open_or_make(cache / digest(identity), window, lambda: self.make(window, size, progress))


def scratch(folder: Path | None, n: int, size: int) -> np.ndarray:
    """A temporary array on disk, float32 [n, size, size], for more slices than memory holds; deleted when it is not used.

    Raises
    ------
    OSError
        When the disk has no room for it.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:  # room is taken now: a page that finds none later would end the process without a word
            os.posix_fallocate(file.fileno(), 0, 4 * n * size * size)
        except OSError as error:
            if is_disk_error(error):
                raise OSError(error.errno, error.strerror, str(folder or tempfile.gettempdir())) from error
        return np.memmap(file, np.float32, "w+", shape=(n, size, size))


def assemble(
    scanned: Iterable[ScannedSlice],
    patient: Sequence[str],
    key: Sequence[str],
    stack: Sequence[str] = (),
) -> SourceSlices:
    """The result of :meth:`Source.make` from scanned slices in HU; the other arguments are as in ``SourceSlices``."""
    scans = list(scanned)
    arrays = {name: np.stack([getattr(scan, name) for scan in scans]) for name in ("low", "normal", "truth") if scans}
    nodules = [scan.nodules for scan in scans if scan.nodules is not None]
    if nodules:
        arrays["nodules"] = np.stack(nodules)
    return SourceSlices(arrays, patient, np.array([scan.pixel_mm for scan in scans]), stack, key)


def in_parallel(function: Callable[[J], T], jobs: Sequence[J], progress: bool, title: str, workers: int) -> Iterator[T]:
    """``map(function, jobs)`` in order with a progress bar: over processes, unless it takes less than :data:`SHORT` without."""
    return track(_mapped(function, jobs, workers), title, len(jobs), enabled=progress)


def _mapped(function: Callable[[J], T], jobs: Sequence[J], workers: int) -> Iterator[T]:
    for done, job in enumerate(jobs, 1):
        begin = time.process_time()
        result = function(job)
        seconds = time.process_time() - begin
        yield result
        left = len(jobs) - done
        if workers > 1 and done > 1 and left * seconds > SHORT:  # the first sets up what all use
            with worker_pool(min(workers, left)) as pool:
                yield from pool.map(function, jobs[done:], chunksize=min(6, max(1, left // (2 * workers))))
            return
