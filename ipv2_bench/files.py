"""Files: written whole or not at all, read with one clear message, CSV in one format, output folders that are claimed once."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest

MARKER = ".ipv2-bench.json"
"""Name of the file by which an output folder tells what it holds."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of a disk that no other file on it would escape."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: the file that is written to it appears under ``path`` when it is complete, on the disk.

    Raises
    ------
    OSError
        When it cannot be written; it names ``path``.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        os.close(handle)
        yield temporary
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        named = Path(error.filename) if isinstance(error, OSError) and isinstance(error.filename, str) else path
        if isinstance(error, OSError) and named.parent == path.parent:  # and not one of a file elsewhere, which was read
            # NumPy and others raise errors without a number where the disk took less than it was given.
            raise OSError(error.errno or errno.ENOSPC, error.strerror or str(error), str(path)) from None
        raise


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Let ``write(binary file)`` fill a file that appears under ``path`` only when it is complete and on the disk."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        write(file)


def is_disk_error(error: BaseException | None) -> bool:
    """Whether an error is one of :data:`NO_ROOM`."""
    return isinstance(error, OSError) and error.errno in NO_ROOM


def disk_error_text(error: OSError) -> str:
    """An error of the disk in one line, with the path and what to do."""
    text = f"{error.strerror or error}: {error.filename or 'disk'}"
    return f"{text}; make room there, and the same command goes on" if is_disk_error(error) else text


def with_home(word: str) -> str:
    """A word of a command with the user's home in place of ``~``, which shells leave alone behind ``=``: ``data.root=~/CT``."""
    key, equals, path = ("", "", word) if word.startswith("~") else word.rpartition("=")
    try:
        return f"{key}{equals}{Path(path).expanduser()}" if path.startswith("~") else word
    except RuntimeError:  # nobody's home
        return word


def home() -> Path | None:
    """The user's home; ``None`` where nothing says which it is, as for a user number without a name in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, unless the file already holds it: nothing is touched when nothing is new.

    Bytes of a file's name that are no UTF-8 are written as escapes.
    """
    data = text.encode("utf-8", "backslashreplace")
    if not path.exists() or path.read_bytes() != data:
        write_whole(path, lambda file: file.write(data))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value, indented by one, unless the file already holds it."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value in a file.

    Raises
    ------
    InputError
        When the file is absent, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a file that is there") from error
    except ValueError as error:
        raise InputError(f"{path.name} is no JSON ({error}): remove it or write it anew") from error


def number_text(value: float | None, digits: int = 6) -> str:
    """A number as CSV files hold it: ``digits`` significant digits; empty for ``None`` and NaN."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.{digits}g}"


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None, digits: int = 6) -> str:
    """Rows as CSV text, the one format of every CSV file that the program writes.

    Parameters
    ----------
    rows
        Values by column; what a row lacks stays empty. Floats get ``digits`` significant digits, booleans 0 or 1.
    columns
        Names in order; those of the rows, in order of appearance, when ``None``.
    digits
        Significant digits of floats.
    """
    rows = list(rows)
    names = list(columns) if columns is not None else list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_cell(row.get(name), digits) for name in names] for row in rows])
    return out.getvalue()


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return number_text(value, digits)
    return "" if value is None else str(value)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as text by column; an empty list when the file is absent."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare_output(out: Path, sources: Sequence[Path], command: str, what: Any) -> None:
    """Make ``out`` the output folder of a command, or recognise it as that of the same command, unfinished or complete.

    Parameters
    ----------
    out, sources
        Output folder, and the folders that are read.
    command
        Its name, for the marker file.
    what
        Everything that determines the output, as a JSON value.

    Raises
    ------
    InputError
        When one folder is inside the other, or ``out`` holds something else.
    """
    if not holds_output(out, sources, command, what):
        write_whole(out / MARKER, lambda file: file.write((json.dumps(_marker_of(command, what)) + "\n").encode()))


def _marker_of(command: str, what: Any) -> dict[str, str]:
    return {"command": command, "of": digest(what)}


def holds_output(out: Path, sources: Sequence[Path], command: str, what: Any) -> bool:
    """Whether ``out`` holds the output of the same command, unfinished or complete; otherwise it is new, and stays untouched.

    Parameters and errors are those of :func:`prepare_output`.
    """
    here = out.resolve()
    for source in sources:
        there = source.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise InputError(f"OUT {out} and IN {source} are inside each other: name an OUT outside of IN")
    marker, content = out / MARKER, _marker_of(command, what)
    if marker.is_file():
        try:
            same = json.loads(marker.read_text(encoding="utf-8")) == content
        except ValueError:
            same = False
        if not same:
            raise InputError(f"OUT {out} holds the output of another command or other settings: name another folder")
        return True
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"OUT {out} exists and is not empty: nothing is overwritten; name a new folder")
    return False
