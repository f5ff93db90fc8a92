"""What commands write: folders that are never another's and can be resumed, and files that are touched only to change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest

MARKER = ".ipv2-bench.json"


def claim(out: Path, sources: Sequence[Path], command: str, what: dict[str, Any]) -> None:
    """Make ``out`` the result of a command, or find that it is already, unfinished or whole.

    Parameters
    ----------
    out, sources
        Where results go, and the folders that they come from.
    command
        Its name, for messages.
    what
        Everything that determines the result, as JSON values.

    Raises
    ------
    InputError
        When one folder lies in the other, or ``out`` holds something else.
    """
    here = out.resolve()
    for source in sources:
        there = source.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise InputError(f"OUT {out} and IN {source} lie in each other: name an OUT outside of IN")
    marker, told = out / MARKER, {"command": command, "of": digest(what)}
    if marker.is_file():
        try:
            same = json.loads(marker.read_text(encoding="utf-8")) == told
        except ValueError:
            same = False
        if not same:
            raise InputError(f"OUT {out} holds the result of another command or other settings: name another folder")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"OUT {out} is there and not empty: nothing is written over; name a new folder")
    write_whole(marker, lambda file: file.write((json.dumps(told) + "\n").encode()))


def write_text(path: Path, text: str) -> None:
    """Write only what changed, so that nothing is touched when nothing is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, lambda file: file.write(text.encode()))
