"""Which rows of a leaderboard's folder stand in its tables, and whether they may stand side by side."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.row_files import SCHEMA, SHARED, Row, read_row
from ipv2_bench.benchmark.tables import Table, TableRow
from ipv2_bench.errors import InputError

Key = tuple[str, str, str, int]
"""Label, denoiser, strategy and seed: what a row stands for in a table."""


def read_rows(folder: Path, tables: Sequence[Table], config: Config) -> dict[str, list[list[Row]]]:
    """The rows of tables from their files alone: by table, for each of its lines, one for each seed that is there.

    Of two rows of one line and seed, that of the configuration's budget is taken. A line without a row is told on stderr.

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

    def of(row: TableRow, seed: int) -> list[Path]:
        found = by_line.get((row.label, row.denoiser, row.strategy.name, seed), {})
        same = [path for path, budget in found.items() if budget == config.train.budget]
        paths = same if len(same) == 1 else [*found]
        if len(paths) > 1:
            raise InputError(
                f"{paths[0].name} and {paths[1].name} are both of {row.denoiser or 'the label'} + {row.strategy.name}, seed "
                f"{seed}, against {row.label}: remove the one that does not belong to this leaderboard"
            )
        return paths

    chosen = {t.key: [[p for seed in config.seeds for p in of(row, seed)] for row in t.rows] for t in tables}
    used = list(dict.fromkeys(p for lines in chosen.values() for line in lines for p in line))
    if not used:
        raise InputError(
            f"no row under {folder}/rows is of a line of these tables: compute them with ipv2-bench reproduce, or name "
            "another run.out"
        )
    rows = {path: Row(read_row(path)) for path in used}
    _may_stand_together(rows)
    found = {key: [[rows[p] for p in line] for line in lines] for key, lines in chosen.items()}
    _tell_what_lacks(tables, found, config.seeds)
    return found


def _by_line(folder: Path) -> dict[Key, dict[Path, Any]]:
    """Files by what they stand for, with their budgets; those of another schema are told on stderr and left out."""
    found: dict[Key, dict[Path, Any]] = defaultdict(dict)
    left_out = []
    for path in sorted(folder.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            if row["schema"] != SCHEMA:
                raise ValueError
            key = (row["label"], row["denoiser_key"], row["strategy"], row["seed"])
            found[key][path] = row["provenance"]["budget"]
        except (ValueError, KeyError, TypeError):
            left_out.append(path.name)
    if left_out:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        print(f"ipv2-bench: left out, since no row of schema {SCHEMA}: {left_out[0]}{more}", file=sys.stderr)
    return found


def _may_stand_together(rows: dict[Path, Row]) -> None:
    """Raise when two rows differ in what those of one board must share."""
    references: dict[tuple[str, int], tuple[Path, str]] = {}
    (first, one), *others = rows.items()
    for path, row in ((first, one), *others):
        label = (row.data["label"], row.data["seed"])
        where, reference = references.setdefault(label, (path, row.data["reference"]))
        differing = [k for k in (*SHARED, "extractors") if row.data["provenance"][k] != one.data["provenance"][k]]
        differing += [k for k in ("n_images", "n_test_patients") if row.data[k] != one.data[k]]
        differing += ["number of draws"] * (row.sample != one.sample)
        if differing or reference != row.data["reference"]:
            other, what = (first, differing[0]) if differing else (where, f"label {label[0]} of seed {label[1]}")
            raise InputError(
                f"{other.name} and {path.name} cannot stand in one table, their {what} is not the same: compute one of "
                "them anew, or remove it"
            )


def _tell_what_lacks(tables: Sequence[Table], rows: dict[str, list[list[Row]]], seeds: Sequence[int]) -> None:
    for table in tables:
        for line, found in zip(table.rows, rows[table.key], strict=True):
            absent = set(seeds) - {row.data["seed"] for row in found}
            if absent:
                who = " + ".join(x for x in (line.denoiser, line.strategy.name) if x)
                which = ", ".join(map(str, sorted(absent)))
                print(
                    f"ipv2-bench: {table.key}: no row of {who} against {line.label}, seed {which}: left out",
                    file=sys.stderr,
                )
