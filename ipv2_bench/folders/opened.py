"""What a user names as input: a folder, one file, or a zip archive."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipv2_bench.errors import InputError

MOST_BYTES = 16 * 2**30
"""Most bytes that an archive may unpack to."""


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """The folder that holds the input: itself, or a temporary one with the file, or with the content of the zip archive.

    Raises
    ------
    InputError
        When there is nothing of the name, or the archive is damaged, encrypted or too large.
    """
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise InputError(f"{source} does not exist: name a folder, a file of one slice or volume, or a zip archive of them")
    with tempfile.TemporaryDirectory(prefix="ipv2-bench-") as made:
        folder = Path(made)
        if source.suffix.lower() == ".zip":
            _unpack(source, folder)
        else:
            (folder / source.name).symlink_to(source.resolve())
        yield folder


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            size = sum(member.file_size for member in file.infolist())
            if size > MOST_BYTES:
                raise InputError(f"{archive.name} unpacks to {size / 2**30:.0f} GB: unpack it yourself, and name the folder")
            file.extractall(folder)  # which keeps every member inside of the folder
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise InputError(
            f"{archive.name} cannot be unpacked ({type(error).__name__}): unpack it yourself, and name the folder"
        ) from error
