"""Files: written whole or not at all, read with one clear message, CSV in one format, output folders that are claimed once."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest

MARKER = ".ipv2-bench.json"
"""Name of the file by which an output folder tells what it holds."""


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Let ``write(binary file)`` fill a file that appears under ``path`` only when it is complete and on the disk."""
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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, unless the file already holds it: nothing is touched when nothing is new."""
    data = text.encode()
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
