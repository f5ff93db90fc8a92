"""Cache of decoded slices on disk, named by the content of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ipv2_bench.data.dicom.pixels import DECODER_VERSION
from ipv2_bench.stored import present, read_array, write_array


class DecodedCache:
    """Slices in HU, one file each, named by the SHA-256 of the file that they were decoded from.

    Only pixels are stored. Several processes may use it at once: files appear whole, and equal content has one name.
    It never shrinks by itself; its folder may be removed at any time.

    Parameters
    ----------
    folder
        Folder of the cache. Each version of the decoder has a folder of its own below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"decoded-{DECODER_VERSION}"

    def get(self, raw: bytes, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """The slice in HU of a file's bytes ``raw``: read from the disk, or decoded by ``decode()`` and stored."""
        name = hashlib.sha256(raw).hexdigest()
        path = self.folder / name[:2] / f"{name}.npy"
        if present(path):
            return read_array(path)
        hu = decode()
        write_array(path, hu)
        return hu
