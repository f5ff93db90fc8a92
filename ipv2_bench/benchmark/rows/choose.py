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
    by_line, others = files_by_line(folder / "rows")
    _report_others(others)
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
    paths = candidates(by_line, line, seed, config)
    if len(paths) > 1:
        raise InputError(
            f"{paths[0].name} and {paths[1].name} are both of {line.name}, seed {seed}, against {line.label}: remove the one "
            "that does not belong to this leaderboard"
        )
    return paths


def candidates(by_line: Files, line: TableLine, seed: int, config: Config) -> list[Path]:
    """Files that count for a line and seed: those of the configuration's budget, where there are none those of any other."""
    budgets = by_line.get(LineKey.of(line, seed), {})
    budget = config.train.model_dump(mode="json")
    return [path for path, own in budgets.items() if own == budget] or [*budgets]


def files_by_line(folder: Path) -> tuple[Files, list[Path]]:
    """Files by what they stand for, and those that are no rows of this schema."""
    by_line: Files = defaultdict(dict)
    others = []
    for path in sorted(folder.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            if row["schema"] != SCHEMA:
                raise ValueError
            key = (row["denoiser"] or {}).get("key")
            budget = row["provenance"]["budget"]
            by_line[LineKey(row["label"], key, row["strategy"], row["seed"])][path] = budget
        except (ValueError, KeyError, TypeError, AttributeError):
            others.append(path)
    return by_line, others


def _report_others(paths: Sequence[Path]) -> None:
    if paths:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        print(
            f"ipv2-bench: left out, since no row of schema {SCHEMA} (computed by earlier code?): {paths[0].name}{more}",
            file=sys.stderr,
        )


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
