"""Rows as files: JSON in the published form, written by a run or contributed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ipv2_bench.benchmark.rows.row import SCHEMA, Row
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_text
from ipv2_bench.fingerprint import digest


def row_text(row: Row) -> str:
    """A row as its file has it: a field a line, and lists of numbers on one."""
    text = json.dumps(row.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n[-+.\deE\s,nul]+\]", lambda m: re.sub(r"\s+", "", m[0]).replace(",", ", "), text) + "\n"


def write_row(out: Path, row: Row) -> Path:
    """Write a row into the folder ``rows`` of its leaderboard, unless its file holds it already; the file's path."""
    # The same images may be in two tables under two names of the lattice, such as IPv1+1+2 and IPv2, and a label that
    # needs no weak denoiser is the same for every seed.
    name = f"{row.images} {row.strategy} {row.label}"
    name = f"{re.sub(r'[^A-Za-z0-9+]+', '-', name).strip('-')}-seed{row.seed}"
    path = out / "rows" / f"{name}.json"
    write_text(path, row_text(row))
    return path


def read_row(path: Path) -> Row:
    """A row from its file.

    Raises
    ------
    InputError
        When it is no row of this schema; the first field that is wrong is named.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"the row {path.name} does not exist: name files under leaderboards/*/rows") from error
    except (ValueError, OSError) as error:
        raise InputError(f"the row {path.name} is no JSON ({error})") from error
    version = data.get("schema") if isinstance(data, dict) else None
    if isinstance(version, int) and version != SCHEMA:
        raise InputError(f"the row {path.name} is of schema {version}, not {SCHEMA}: compute it anew")
    try:
        return Row.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the row"
        raise InputError(f"the row {path.name} breaks the schema at {where}: {first['msg'][:200]}") from error


def remove_superseded(written: dict[Path, Row]) -> int:
    """Remove rows that earlier code gave for the very lines that have new ones; all others stay. How many were removed."""
    now = {_line_identity(json.loads(row_text(row))) for row in written.values()}
    removed = 0
    for path in _row_files({path.parent for path in written}):
        if path in written:
            continue
        with suppress(ValueError):  # what is no JSON was not written here
            data = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(data, dict) and _line_identity(data) in now:
                path.unlink()
                removed += 1
    return removed


def _row_files(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in sorted(folders) for path in sorted(folder.glob("*.json"))]


def _line_identity(data: dict[str, Any]) -> str:
    """Hash of what a row stands for, whatever its schema: line, seed, benchmark, data, split, budget, options of denoisers."""
    denoiser = data.get("denoiser")
    key = denoiser.get("key") if isinstance(denoiser, dict) else data.get("denoiser_key")
    line = [data.get("label"), key or None, data.get("strategy"), data.get("seed")]
    came = data.get("provenance", {})
    budget = {k: v for k, v in came.get("budget", {}).items() if v and not (k == "epochs" and came["budget"].get("steps"))}
    split = came.get("split")
    split = list(split.values()) if isinstance(split, dict) else split
    named = [came.get(k) for k in ("benchmark", "data_manifest", "window_hu", "denoisers")]
    return digest([line, split, budget, named])
