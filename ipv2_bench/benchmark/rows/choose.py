"""Which row files of a leaderboard belong to the lines of its tables, and whether they may be compared."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.row import SCHEMA, SHARED, Row
from ipv2_bench.benchmark.tables import Table, TableLine
from ipv2_bench.errors import InputError


@dataclass(frozen=True)
class LineKey:
    """What a row stands for in a table."""

    label: str
    denoiser: str | None
    strategy: str
    seed: int

    @classmethod
    def of(cls, line: TableLine, seed: int) -> LineKey:
        """The key of a table's line."""
        return cls(line.label, line.denoiser, line.strategy.name, seed)


def read_rows(folder: Path, tables: Sequence[Table], config: Config) -> dict[str, list[list[Row]]]:
    """The rows of tables from their files alone: by table, for each of its lines, one for each seed that has a file.

    Of two rows of one line and seed, that of the configuration's budget is taken. A line without a row is reported on stderr.

    Parameters
    ----------
    folder
        Of a leaderboard, with a folder ``rows``.
    tables
        What is to be rendered.
    config
        Its seeds count.

    Raises
    ------
    InputError
        When there are none, a file of a line is no row, two are of the same line, or they cannot be compared.
    """
    by_line = _by_line(folder / "rows")
    chosen = {
        t.key: [[p for seed in config.seeds for p in _file_of(by_line, line, seed, config)] for line in t.lines]
        for t in tables
    }
    used = list(dict.fromkeys(p for lines in chosen.values() for line in lines for p in line))
    if not used:
        raise InputError(
            f"no row under {folder}/rows is of a line of these tables: compute them with ipv2-bench reproduce, or name "
            "another run.out"
        )
    rows = {path: read_row(path) for path in used}
    _refuse_unlike(rows)
    by_table = {key: [[rows[p] for p in line] for line in lines] for key, lines in chosen.items()}
    _report_missing(tables, by_table, config.seeds)
    return by_table


Files = dict[LineKey, dict[Path, Any]]
"""Line → its files with the budget of each."""


def _file_of(by_line: Files, line: TableLine, seed: int, config: Config) -> list[Path]:
    """The file of a line and seed, if there is one."""
    budgets = by_line.get(LineKey.of(line, seed), {})
    budget = config.train.model_dump(mode="json")
    same = [path for path, own in budgets.items() if own == budget]
    paths = same if len(same) == 1 else [*budgets]
    if len(paths) > 1:
        raise InputError(
            f"{paths[0].name} and {paths[1].name} are both of {line.name}, seed {seed}, against {line.label}: remove the one "
            "that does not belong to this leaderboard"
        )
    return paths


def _by_line(folder: Path, report: bool = True) -> Files:
    """Files by what they stand for; those of another schema are left out, which ``report`` says on stderr."""
    by_line: Files = defaultdict(dict)
    left_out = []
    for path in sorted(folder.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            if row["schema"] != SCHEMA:
                raise ValueError
            key = (row["denoiser"] or {}).get("key")
            budget = row["provenance"]["budget"]
            by_line[LineKey(row["label"], key, row["strategy"], row["seed"])][path] = budget
        except (ValueError, KeyError, TypeError, AttributeError):
            left_out.append(path.name)
    if left_out and report:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        print(
            f"ipv2-bench: left out, since no row of schema {SCHEMA} (computed by earlier code?): {left_out[0]}{more}",
            file=sys.stderr,
        )
    return by_line


def _refuse_unlike(rows: dict[Path, Row]) -> None:
    """Refuse rows that differ in what those of one board must share."""
    references: dict[tuple[str, int], tuple[Path, str]] = {}
    (first, one), *others = rows.items()
    for path, row in ((first, one), *others):
        where, reference = references.setdefault((row.label, row.seed), (path, row.reference))
        differing = differing_fields(row, one)
        if differing or reference != row.reference:
            other = first if differing else where
            what = differing[0] if differing else f"label {row.label} of seed {row.seed}"
            raise InputError(
                f"{other.name} and {path.name} cannot be in one table, their {what} is not the same: compute one of "
                "them anew, or remove it"
            )


def differing_fields(row: Row, other: Row) -> list[str]:
    """Names of what two rows must share to be in one table, and do not."""
    names = [k for k in (*SHARED, "extractors") if getattr(row.provenance, k) != getattr(other.provenance, k)]
    names += [k for k in ("n_images", "n_test_patients") if getattr(row, k) != getattr(other, k)]
    return names + ["number of draws"] * (row.sample != other.sample)


SET_ASIDE = "set_aside"
"""Folder under ``rows`` of what the tables must not take; nothing reads it."""


def set_aside(folder: Path, tables: Sequence[Table], config: Config, written: dict[Path, Row]) -> list[Path]:
    """Move rows that would keep tables from being rendered with the rows just written; where they are now.

    They are of the same line, seed and budget as a new one, or of other data where a line got no new one. Rows of other tables
    stay.

    Parameters
    ----------
    folder
        Of the leaderboard.
    tables, config
        What was computed.
    written
        The new rows by their files.
    """
    by_line, moved = _by_line(folder / "rows", report=False), []
    budget = config.train.model_dump(mode="json")
    for line, seed in ((line, seed) for table in tables for line in table.lines for seed in config.seeds):
        files = [p for p, own in by_line.get(LineKey.of(line, seed), {}).items() if own == budget and p.exists()]
        new = [p for p in files if p in written]
        for path in files:
            if path not in written and written and (new or differing_fields(read_row(path), next(iter(written.values())))):
                target = path.parent / SET_ASIDE / path.name
                target.parent.mkdir(exist_ok=True)
                moved.append(path.replace(target))
    return moved


def _report_missing(tables: Sequence[Table], rows: dict[str, list[list[Row]]], seeds: Sequence[int]) -> None:
    for table in tables:
        for line, of_line in zip(table.lines, rows[table.key], strict=True):
            absent = set(seeds) - {row.seed for row in of_line}
            if absent:
                which = ", ".join(map(str, sorted(absent)))
                print(
                    f"ipv2-bench: {table.key}: no row of {line.name} against {line.label}, seed {which}: left out",
                    file=sys.stderr,
                )
