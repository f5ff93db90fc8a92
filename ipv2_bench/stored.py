"""Files that a run keeps and reads again: each tells whether it is whole, and one that is not is made anew."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ipv2_bench.files import read_json, write_json, write_whole
from ipv2_bench.fingerprint import digest

logger = logging.getLogger("ipv2_bench")

MARK = b"ipv2-bench sha256"
KINDS = (".npy", ".npz", ".json")
"""Endings of files that tell by themselves whether they are whole."""

SEAL, OF = "seal", "sha256:"
"""Key of a JSON object that holds the hash of its other values, and how that begins."""


def present(path: Path, read: Callable[[Path], Any] | None = None) -> bool:
    """Whether a stored file is there and whole. A spoiled one is removed, with one warning that names it.

    Parameters
    ----------
    path
        An array, measurements (npz) or a JSON object; or any file with ``read``.
    read
        Reads a file of another kind, and raises where it is spoiled.

    Raises
    ------
    PermissionError
        When it may not be read.
    """
    assert read is not None or path.suffix in KINDS, path
    try:
        stat = path.stat()
    except OSError:
        return False
    if _is_whole(path, stat.st_mtime_ns, stat.st_size, read):
        return True
    discard(path)
    return False


def discard(path: Path) -> None:
    """Remove a spoiled file, with a warning that names it."""
    logger.warning("%s is cut off or was changed since it was written: it is made anew", path)
    path.unlink(missing_ok=True)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an npy file with the seal of :func:`sealed`."""
    write_whole(path, sealed(lambda file: np.save(file, array, allow_pickle=False)))


def read_array(path: Path, mapped: bool = False) -> np.ndarray:
    """The array of an npy file; ``mapped``: read-only, and read from the disk as it is used."""
    return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)


def sealed(write: Callable[[BinaryIO], Any]) -> Callable[[BinaryIO], None]:
    """``write(file)`` of an npy file, and behind the array the hash of all of it, which readers of npy files pass over."""

    def whole(file: BinaryIO) -> None:
        hashing: Any = _Hashing(file)
        write(hashing)
        file.write(MARK + hashing.sha256.digest())

    return whole


class _Hashing:
    """A file to write to, with the hash of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self.file.write(data)


def write_object(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object with the hash of its values among them."""
    write_json(path, {**values, SEAL: OF + digest(dict(values))})


def read_object(path: Path) -> dict[str, Any]:
    """The values of a JSON object that :func:`write_object` wrote.

    Raises
    ------
    InputError
        When the file is absent or no JSON.
    """
    return {key: value for key, value in read_json(path).items() if key != SEAL}


@lru_cache(maxsize=100_000)
def _is_whole(path: Path, _changed_ns: int, size: int, read: Callable[[Path], Any] | None) -> bool:
    """Whether a file of this size is as it was written; asked once for each state of it."""
    path.open("rb").close()  # what may not be read may be whole: a reader's own error would not say which it is
    try:
        if read is not None:
            read(path)
            return True
        if path.suffix == ".npy":
            return _whole_array(path, size)
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        value = json.loads(path.read_bytes())
        # Of two, a changed key or a changed beginning of the hash, one is left to tell that there is a seal.
        if not isinstance(value, dict):
            return True
        if SEAL not in value and not any(isinstance(x, str) and x.startswith(OF) for x in value.values()):
            return True  # not sealed
        return value.pop(SEAL, "") == OF + digest(value)
    except Exception:  # readers raise whatever their parts raise
        return False


def _whole_array(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        end = file.tell() + math.prod(shape) * dtype.itemsize
        if size == end:
            return True  # of an earlier version, without a seal
        if size != end + len(MARK) + 32:
            return False
        file.seek(0)
        sha256, left = hashlib.sha256(), end
        while left:
            block = file.read(min(left, 1 << 22))
            if not block:
                return False
            sha256.update(block)
            left -= len(block)
        return file.read() == MARK + sha256.digest()
