"""Decoded slices on disk, by the content of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import write_whole
from ipv2_bench.fingerprint import code


class DecodedCache:
    """Slices in HU, one file each, named by the SHA-256 of the file that they were decoded from.

    Nothing but pixels is kept. Several processes may use it at once: files appear whole, and equal content has one name.
    It never shrinks by itself; it may be removed at any time.

    Parameters
    ----------
    folder
        Where it lies. Other decoding code begins a folder of its own below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"decoded-{code('data/dicom_pixels.py', 'data/dicom_tags.py')}"

    def get(self, raw: bytes, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The slice of a file's bytes, from the disk or by ``make``."""
        name = hashlib.sha256(raw).hexdigest()
        path = self.folder / name[:2] / f"{name}.npy"
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or spoiled by the disk
            made = make()
        write_whole(path, lambda file: np.save(file, made))
        return made

    def size(self) -> tuple[int, int]:
        """Number of slices and bytes that it holds."""
        files = [p.stat().st_size for p in self.folder.glob("*/*.npy")]
        return len(files), sum(files)
