"""Slice sets: all slices of a source as memory-mapped arrays on disk, computed once."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ipv2_bench.data.findings import LeftOut
from ipv2_bench.data.hu_images import HuImages, Shares, to_share_steps, to_steps
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.files import write_whole
from ipv2_bench.physics.intensity import Window
from ipv2_bench.processes import in_threads
from ipv2_bench.stored import present, read_array, read_object, sealed, write_object

logger = logging.getLogger("ipv2_bench")

AT_ONCE = 32
"""Slices whose derived arrays are held in memory until they are written."""


@dataclass(frozen=True)
class SliceSet:
    """Pairs of one source at one size.

    Attributes
    ----------
    folder
        Folder of the arrays.
    low, normal
        uLDCT and NDCT, [n, N, N]: indexing gives float32 in [0, 1] of the HU window, ``hu`` the HU without clipping.
    truth
        Noise-free slice aligned with ``low``, like it; ``None`` where it is not known.
    nodules
        Share of each pixel of ``truth`` that is lung nodule, [n, N, N], float32; ``None`` where it is not known.
    patient
        Pseudonym of each slice's patient, n strings, empty where it is not known; never an identifier from the data.
    pixel_mm
        Side of a pixel in mm, [n].
    manifest
        SHA-256 over everything above as it is stored, in integers, 64 hex digits: the same on every machine.
    stack
        Label of the run of consecutive slices that each slice belongs to, n strings; empty where slices have no order.
    key
        Name of each slice, n strings; the same at any size, derived from its content, never an identifier.
    part
        ``train``, ``val`` or ``test`` where the source decides it, else empty strings.
    """

    folder: Path
    low: HuImages
    normal: HuImages
    truth: HuImages | None
    nodules: Shares | None
    patient: tuple[str, ...]
    pixel_mm: np.ndarray
    manifest: str
    stack: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    part: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.low)

    def __reduce__(self) -> tuple:
        # Another process, which may work in another folder, gets the folder's name, not gigabytes of mapped arrays.
        return open_slices, (self.folder.absolute(),)

    @property
    def size(self) -> int:
        """N, pixels along a side."""
        return int(self.low.shape[-1])

    def neighbourhood(self, i: int, context: int) -> list[int]:
        """Indices of the ``context`` slices around ``i``; where the stack ends, ``i`` takes the place of a missing one.

        Raises
        ------
        InputError
            When slices have no order and ``context`` is not 1.
        """
        if context == 1:
            return [i]
        if not any(self.stack):
            raise InputError(
                f"a context of {context} slices needs slices in order: use data.source=virtual_scan, or a context of 1"
            )

        def in_stack(j: int) -> int:
            return j if 0 <= j < len(self) and self.stack[j] == self.stack[i] != "" else i

        return [in_stack(i + d) for d in range(-(context // 2), context // 2 + 1)]

    def with_neighbours(self, images: HuImages, index: Sequence[int] | np.ndarray, context: int) -> np.ndarray:
        """The images of ``index`` with their neighbours, [len(index), context, N, N], out of ``images`` [n, N, N]."""
        return np.stack([np.asarray(images[self.neighbourhood(int(i), context)]) for i in index])

    def derive(self, name: str, make: Callable[[int], np.ndarray]) -> np.ndarray:
        """An array [n, …] with ``make(i)`` for every slice i, computed once and stored beside the slices as ``name``.npy.

        Slices are made on as many threads as torch has, so that ``make`` is called by several at once.
        """
        path = self.folder / f"{name}.npy"
        if not present(path):
            first = make(0)
            header = {"descr": first.dtype.str, "fortran_order": False, "shape": (len(self), *first.shape)}

            def write(file: BinaryIO) -> None:
                # A few slices at once, since projections of thousands of slices do not fit into memory.
                np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(first).tobytes())
                for start in range(1, len(self), AT_ONCE):
                    for array in in_threads(make, range(start, min(start + AT_ONCE, len(self)))):
                        file.write(np.ascontiguousarray(array).tobytes())

            write_whole(path, sealed(write))
        return read_array(path, mapped=True)


class SourceSlices(NamedTuple):
    """The slices that a source returns, before they are stored as a :class:`SliceSet`.

    Attributes
    ----------
    arrays
        ``low``, ``normal`` and where it is known ``truth`` in HU, not clipped to any window; where they are known
        ``nodules``, shares in [0, 1]; [n, N, N] each.
    patient
        Pseudonym of each slice's patient; empty where it is not known.
    pixel_mm
        Side of a pixel in mm, [n].
    stack
        Label of the run of consecutive slices that each slice belongs to; empty without an order.
    key
        Name of each slice, see :class:`SliceSet`.
    part
        ``train``, ``val`` or ``test``; empty where the source does not decide it.
    """

    arrays: dict[str, np.ndarray]
    patient: Sequence[str]
    pixel_mm: np.ndarray
    stack: Sequence[str]
    key: Sequence[str]
    part: Sequence[str] = ()


def open_or_make(folder: Path, window: Window, make: Callable[[], SourceSlices]) -> SliceSet:
    """The slice set in ``folder`` with its window, which is filled by ``make()`` first where it does not exist.

    The folder appears whole or not at all.

    Raises
    ------
    InputError
        When slices are not usable; all of them in one list.
    """
    if not _is_whole(folder):
        with _warnings() as notes:
            slices = make()
        _check(slices, window)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            _write(temporary, slices, window, notes)
            temporary.chmod(0o755)  # readable by others like every file that is written, which mkdtemp's folder is not
            with suppress(OSError):  # another process was faster; its slices are the same
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    else:
        for note in read_object(folder / "index.json").get("notes", []):
            logger.warning("%s", note)
    return open_slices(folder)


def _is_whole(folder: Path) -> bool:
    """Whether a slice set is there with all of its arrays; a spoiled one is removed with what was derived from it."""
    index = folder / "index.json"
    if not folder.exists():
        return False
    if present(index) and all(present(folder / f"{name}.npy") for name in read_object(index).get("arrays", ("low", "normal"))):
        return True
    shutil.rmtree(folder)
    return False


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings that this program logs meanwhile, without the names of files, so that a later run can repeat them."""
    notes: list[str] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.module == "stored":  # of a file that was spoiled once, with its path
                return
            words = record.args if isinstance(record.args, tuple) else ()
            notes.append(record.msg % tuple(x.counts() if isinstance(x, LeftOut) else x for x in words))

    handler = Notes(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)


def _write(folder: Path, slices: SourceSlices, window: Window, notes: Sequence[str] = ()) -> None:
    """Write slices into a folder, as the integers that they are stored in, with their index."""
    manifest = hashlib.sha256()
    for name, array in sorted(slices.arrays.items()):
        manifest.update(name.encode())
        stored = to_share_steps if name == "nodules" else to_steps

        def write(file: BinaryIO, array: np.ndarray = array, stored: Callable = stored) -> None:
            header = {"descr": stored(np.zeros(1)).dtype.str, "fortran_order": False, "shape": array.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for image in array:  # one at a time, since thousands do not fit into memory
                content = stored(image).tobytes()
                file.write(content)
                manifest.update(content)

        write_whole(folder / f"{name}.npy", sealed(write))
    manifest.update(json.dumps([list(slices.patient), slices.pixel_mm.tolist()]).encode())
    index = {"patient": list(slices.patient), "pixel_mm": slices.pixel_mm.tolist()}
    index |= {"manifest": manifest.hexdigest(), "stack": list(slices.stack)}
    index |= {"key": list(slices.key), "part": list(slices.part), "window": [window.low, window.high], "notes": list(notes)}
    write_object(folder / "index.json", {**index, "arrays": sorted(slices.arrays)})


def open_slices(folder: Path) -> SliceSet:
    """The slice set in ``folder``, its arrays memory-mapped."""
    index = read_object(folder / "index.json")
    window = Window(*index["window"])
    files = {name: folder / f"{name}.npy" for name in ("low", "normal", "truth", "nodules")}
    return SliceSet(
        folder=folder,
        low=HuImages(files["low"], window),
        normal=HuImages(files["normal"], window),
        truth=HuImages(files["truth"], window) if files["truth"].exists() else None,
        nodules=Shares(files["nodules"]) if files["nodules"].exists() else None,
        patient=tuple(index["patient"]),
        pixel_mm=np.asarray(index["pixel_mm"]),
        manifest=index["manifest"],
        stack=tuple(index["stack"]),
        key=tuple(index["key"]),
        part=tuple(index["part"]),
    )


def _check(slices: SourceSlices, window: Window) -> None:
    """Refuse an empty set, a slice that is there twice, and slices that are not finite, not in HU, or constant in the window."""
    if len(slices.patient) == 0:
        raise InputError("the data set has no slices: expected at least one that shows lung")
    first: dict[str, int] = {}
    problems = [
        f"slices {first[key]} and {i} are the same ({key}): remove one of them"
        for i, key in enumerate(slices.key)
        if key and first.setdefault(key, i) != i
    ]
    for name, array in slices.arrays.items():
        for i, image in enumerate(array):
            where = f"slice {i} of patient {slices.patient[i]} ({name})" if slices.patient[i] else f"slice {i} ({name})"
            if not np.isfinite(image).all():
                problems.append(f"{where} holds NaN or infinity: repair or remove it")
                continue
            if name == "nodules":
                continue
            unit = window.unit(np.asarray([image.min(), image.max()]))
            if 0 <= image.min() < image.max() <= 1:
                problems.append(f"{where} lies between 0 and 1 HU: a data source gives HU, which window.hu makes of [0, 1]")
            elif unit[0] == unit[1]:
                problems.append(f"{where} is constant ({unit[0]:.3g} of [0, 1]): widen the HU window or remove it")
    refuse(problems, "data set")
