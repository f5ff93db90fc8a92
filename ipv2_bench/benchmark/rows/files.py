"""Rows as files: JSON in the published form, written by a run or contributed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ipv2_bench.benchmark.rows.row import SCHEMA, Row
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_text
from ipv2_bench.fingerprint import digest


def row_text(row: Row) -> str:
    """A row as its file has it: a field a line, and lists of numbers on one."""
    return _indented(row.model_dump(mode="json", by_alias=True), "\n") + "\n"


def _indented(value: Any, line: str) -> str:
    """A JSON value; ``line``: line break and indent of where it stands."""
    deeper = line + " "
    if isinstance(value, dict) and value:
        fields = (f"{_plain(key)}: {_indented(each, deeper)}" for key, each in value.items())
        return "{" + deeper + f",{deeper}".join(fields) + line + "}"
    if isinstance(value, list) and not {str, bool, list, dict}.isdisjoint(map(type, value)):
        return "[" + deeper + f",{deeper}".join(_indented(each, deeper) for each in value) + line + "]"
    return _plain(value)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_row(out: Path, row: Row, kept: Path | None = None) -> Path:
    """Write a row into the folder ``rows`` of its leaderboard; the file's path. ``kept``: a file that has its text already."""
    name = f"{row.denoiser_key or 'label'} {row.strategy} {row.label} seed{row.seed} {identity_of(row)}"
    path = out / "rows" / f"{re.sub(r'[^A-Za-z0-9+_]+', '-', name)}.json"
    write_text(path, row_text(row) if kept is None else kept.read_text(encoding="utf-8"))
    return path


def identity_of(row: Row) -> str:
    """Hash that names a row's file: of its images, its line, and what it came from, without commit and machine.

    Images alone do not: labels may be the same for all seeds and budgets, and those of a variant the same as of what it varies.
    """
    lasting = row.provenance.model_dump(mode="json", exclude={"commit", "packages", "processor"})
    return digest([row.images, row.reference, row.label, row.denoiser_key, row.strategy, row.seed, lasting])


def read_row(path: Path) -> Row:
    """A row from its file.

    Raises
    ------
    InputError
        When it is no row of this schema; the first field that is wrong is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"the row {path.name} does not exist: name files under leaderboards/*/rows") from error
    except (ValueError, OSError) as error:
        raise InputError(f"the row {path.name} is no JSON ({error})") from error
    try:
        return Row.model_validate_json(text)
    except ValidationError as error:
        _refuse_other_text(path, text)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the row"
        raise InputError(f"the row {path.name} breaks the schema at {where}: {first['msg'][:200]}") from error


def _refuse_other_text(path: Path, text: str) -> None:
    """Refuse text that is no JSON, or a row of another schema."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(f"the row {path.name} is no JSON ({error})") from error
    version = data.get("schema") if isinstance(data, dict) else None
    if isinstance(version, int) and version != SCHEMA:
        raise InputError(f"the row {path.name} is of schema {version}, not {SCHEMA}: compute it anew")
