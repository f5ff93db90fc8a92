"""All slices of a source as memory-mapped arrays, made once and kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ipv2_bench.errors import InputError, refuse


@dataclass(frozen=True)
class SliceSet:
    """Pairs of one source at one size.

    Attributes
    ----------
    folder
        Where the arrays lie.
    low, normal
        uLDCT and NDCT, [n, N, N], float32 in [0, 1] of the HU window.
    truth
        Noise-free slice aligned with ``low``, like it; ``None`` where it is not known.
    nodules
        Share of each pixel of ``truth`` that is lung nodule, [n, N, N], float32; ``None`` where it is not known.
    patient
        Pseudonym of each slice's patient, n strings, empty where it is not told; never an identifier from the data.
    pixel_mm
        Side of a pixel in mm, [n].
    manifest
        SHA-256 over everything above, 64 hex digits.
    stack
        Label of the run of consecutive slices that each belongs to, n strings; empty where slices have no order.
    key
        Name of each slice that stays the same at any size, n strings; of its content, never an identifier.
    part
        ``train``, ``val`` or ``test`` where the source says so, else empty strings.
    """

    folder: Path
    low: np.ndarray
    normal: np.ndarray
    truth: np.ndarray | None
    nodules: np.ndarray | None
    patient: tuple[str, ...]
    pixel_mm: np.ndarray
    manifest: str
    stack: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    part: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.low)

    def __reduce__(self) -> tuple:
        # To another process goes the folder's name, not gigabytes of mapped arrays.
        return _opened, (self.folder,)

    @property
    def size(self) -> int:
        """N, pixels along a side."""
        return int(self.low.shape[-1])

    def neighbourhood(self, i: int, context: int) -> list[int]:
        """Places of the slice before ``i``, of ``i`` and of the one behind; at an end of its stack it stands for itself.

        Raises
        ------
        InputError
            When slices have no order.
        """
        if context == 1:
            return [i]
        if not any(self.stack):
            raise InputError(
                f"a context of {context} slices needs slices in order: use data.source=virtual_scan, or a context of 1"
            )

        def near(j: int) -> int:
            return j if 0 <= j < len(self) and self.stack[j] == self.stack[i] != "" else i

        return [near(i + d) for d in range(-(context // 2), context // 2 + 1)]

    def with_neighbours(self, images: np.ndarray, index: Sequence[int] | np.ndarray, context: int) -> np.ndarray:
        """Images [n, N, N] at some places with their neighbours: [len(index), context, N, N]."""
        return np.stack([np.asarray(images[self.neighbourhood(int(i), context)]) for i in index])

    def derive(self, name: str, make: Callable[[int], np.ndarray]) -> np.ndarray:
        """An array [n, …] of ``make(i)`` for every slice, computed once and kept on disk under ``name``."""
        path = self.folder / f"{name}.npy"
        if not path.exists():
            first = make(0)
            header = {"descr": first.dtype.str, "fortran_order": False, "shape": (len(self), *first.shape)}

            def write(file: BinaryIO) -> None:
                # Slice by slice: projections of thousands of slices do not fit into memory.
                np.lib.format.write_array_header_1_0(file, header)
                for i in range(len(self)):
                    file.write(np.ascontiguousarray(make(i) if i else first).tobytes())

            write_whole(path, write)
        return np.load(path, mmap_mode="r", allow_pickle=False)


class Made(NamedTuple):
    """What a source makes.

    Attributes
    ----------
    arrays
        ``low``, ``normal``, perhaps ``truth`` and ``nodules``, [n, N, N] in [0, 1].
    patient
        Pseudonym of each slice's patient.
    pixel_mm
        [n].
    stack
        Label of the run of consecutive slices that each belongs to; empty without an order.
    key
        Name of each slice, see :class:`SliceSet`.
    part
        ``train``, ``val`` or ``test``; empty where the source does not say.
    """

    arrays: dict[str, np.ndarray]
    patient: Sequence[str]
    pixel_mm: np.ndarray
    stack: Sequence[str]
    key: Sequence[str]
    part: Sequence[str] = ()


def write_whole(path: Path, write: Callable) -> None:
    """Let ``write(binary file)`` fill a file that appears under ``path`` only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def stored(
    folder: Path,
    make: Callable[[], Made],
) -> SliceSet:
    """Open the slice set in ``folder``, or make it there first. The folder appears whole or not at all.

    Raises
    ------
    InputError
        When a made slice is not usable; all of them in one list.
    """
    if not (folder / "index.json").exists():
        made = make()
        _check(made.arrays, made.patient)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        digest = hashlib.sha256()
        for name, array in sorted(made.arrays.items()):
            digest.update(name.encode())
            with (temporary / f"{name}.npy").open("wb") as file:
                header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": array.shape}
                np.lib.format.write_array_header_1_0(file, header)
                for image in array:  # one at a time: thousands do not fit into memory
                    content = np.ascontiguousarray(image, dtype=np.float32).tobytes()
                    file.write(content)
                    digest.update(content)
        digest.update(json.dumps([list(made.patient), made.pixel_mm.tolist()]).encode())
        index = {"patient": list(made.patient), "pixel_mm": made.pixel_mm.tolist(), "manifest": digest.hexdigest()}
        index |= {"stack": list(made.stack), "key": list(made.key), "part": list(made.part)}
        (temporary / "index.json").write_text(json.dumps(index))
        try:
            temporary.rename(folder)
        except OSError:
            # Another process was first; what it made is the same.
            shutil.rmtree(temporary)
    return _opened(folder)


def _opened(folder: Path) -> SliceSet:
    """The slice set that lies in ``folder``."""
    index = json.loads((folder / "index.json").read_text())

    def mapped(name: str) -> np.ndarray:
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def perhaps(name: str) -> np.ndarray | None:
        return mapped(name) if (folder / f"{name}.npy").exists() else None

    return SliceSet(
        folder=folder,
        low=mapped("low"),
        normal=mapped("normal"),
        truth=perhaps("truth"),
        nodules=perhaps("nodules"),
        patient=tuple(index["patient"]),
        pixel_mm=np.asarray(index["pixel_mm"]),
        manifest=index["manifest"],
        stack=tuple(index["stack"]),
        key=tuple(index["key"]),
        part=tuple(index["part"]),
    )


def _check(arrays: dict[str, np.ndarray], patient: Sequence[str]) -> None:
    if len(patient) == 0:
        raise InputError("the data set has no slices: expected at least one that shows lung")
    problems = []
    for name, array in arrays.items():
        for i, image in enumerate(array):
            where = f"slice {i} of patient {patient[i]} ({name})"
            if not np.isfinite(image).all():
                problems.append(f"{where} holds NaN or infinity: repair or remove it")
            elif image.min() == image.max() and name != "nodules":
                problems.append(f"{where} is constant ({image.min():.3g} of [0, 1]): widen the HU window or remove it")
    refuse(problems, "data set")
