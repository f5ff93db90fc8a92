"""Making room for new rows: what they replace, or what could not be in one table with them, is moved, never deleted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.choose import candidates, differing_fields, files_by_line
from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.errors import InputError
from ipv2_bench.files import sha256_of

SET_ASIDE = "set_aside"
"""Folder under ``rows`` of what the tables must not take; nothing reads it."""


def set_aside(folder: Path, tables: Sequence[Table], config: Config, written: dict[Path, Row]) -> list[Path]:
    """Move files that the rows just written replace, or beside which they could not be rendered; where those are now.

    They are of the line, seed and budget of a new row; or, where a line got no new row, cannot be compared with the new ones; or
    of another schema. Rows of other tables stay.

    Parameters
    ----------
    folder
        Of the leaderboard.
    tables, config
        What was computed.
    written
        The new rows by their files.
    """
    if not written:
        return []
    by_line, others = files_by_line(folder / "rows")
    old = [path for path in others if _is_of_another_schema(path)]
    for line, seed in ((line, seed) for table in tables for line in table.lines for seed in config.seeds):
        paths = candidates(by_line, line, seed, config)
        replaced = any(path in written for path in paths)
        old += [path for path in paths if path not in written and (replaced or not _stands_beside(path, written))]
    return [_moved(path) for path in dict.fromkeys(old)]


def _is_of_another_schema(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8"))["schema"], int)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _stands_beside(path: Path, written: dict[Path, Row]) -> bool:
    """Whether a file is a row that can be in one table with new ones."""
    try:
        row = read_row(path)
    except InputError:
        return False
    references = {(r.label, r.seed): r.reference for r in written.values()}
    same_label = references.get((row.label, row.seed), row.reference) == row.reference
    return same_label and not differing_fields(row, next(iter(written.values())))


def _moved(path: Path) -> Path:
    folder = path.parent / SET_ASIDE
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    with suppress(FileNotFoundError):  # another run of the same board has moved it
        if target.exists() and target.read_bytes() != path.read_bytes():
            target = folder / f"{path.stem}-{sha256_of(path)[:8]}.json"
        path.replace(target)
    return target
