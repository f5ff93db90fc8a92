"""Rows from anywhere, ranked: only those that can be compared are in one list."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.row import SHARED, Row
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.metrics.base import Column
from ipv2_bench.metrics.catalogue import Catalogue, catalogue


@dataclass(frozen=True)
class Ranked:
    """A denoiser under a strategy: the value of each of its seeds."""

    name: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return sum(self.values) / len(self.values)

    @property
    def spread(self) -> str:
        """Smallest and largest value; ``–`` for one seed."""
        return f"{min(self.values):.4g} to {max(self.values):.4g}" if len(self.values) > 1 else "–"


@dataclass(frozen=True)
class Ranking:
    """One list: rows that share data, split, budget, label and extractor, the best first."""

    column: Column
    one: Row
    ranked: list[Ranked]


def rank(paths: Sequence[Path], name: str, extra: Sequence[str] = ()) -> str:
    """Rank rows by a measure, as Markdown: one list for each data, split, budget, label and extractor.

    Lines join the rows of one denoiser and strategy over their seeds. The list says which of two is ahead on the mean, not
    that it is better: for that, compare them in one run (``ipv2-bench compare``), which gives paired intervals.

    Parameters
    ----------
    paths
        Files of rows.
    name
        A column of the catalogue, such as ``rmse_hu`` or ``edge_mtf50``.
    extra
        Measures from outside.

    Raises
    ------
    InputError
        For a file that is no row, or a measure that no row has.
    """
    measures = catalogue(extra)
    return render("ranking.md.j2", rankings=rankings(paths, measures.column(name, "--by"), measures))


def rankings(paths: Sequence[Path], column: Column, measures: Catalogue) -> list[Ranking]:
    """The lists of :func:`rank`."""
    groups: dict[str, list[Row]] = defaultdict(list)
    lines: dict[tuple[str, str, int], Path] = {}
    lacking = 0
    for path in paths:
        row = read_row(path)
        if row.denoiser is None:  # a label, which is no competitor
            continue
        if not math.isfinite(row.values.get(column.name, math.nan)):
            lacking += 1
            continue
        group = _comparable(row, column, measures)
        same = lines.setdefault((group, _name(row), row.seed), path)
        if same != path:
            raise InputError(f"{same.name} and {path.name} are both of {row.name}: name one of them")
        groups[group].append(row)
    if not groups:
        raise InputError(f"none of {len(paths)} rows is of a denoiser and has {column.name}: name others or another measure")
    if lacking:
        print(f"ipv2-bench: {lacking} of {len(paths)} rows have no {column.name}: left out", file=sys.stderr)
    ordered = sorted(groups.values(), key=lambda rows: (rows[0].provenance.benchmark, rows[0].label, -len(rows)))
    return [Ranking(column, rows[0], _ranked(rows, column)) for rows in ordered]


def _comparable(row: Row, column: Column, measures: Catalogue) -> str:
    """Hash of what two rows must share to be in one list."""
    space = measures.space_of(column.name)
    extractor = row.provenance.extractors.get(space) if space else None
    came = row.provenance.model_dump(mode="json")
    used = None if extractor is None else extractor.model_dump()
    return digest([row.label, row.reference, row.n_images, used, [came[k] for k in SHARED]])


def _name(row: Row) -> str:
    """The row's denoiser and strategy in words."""
    assert row.denoiser is not None
    outside = f" ({row.denoiser.key})" if ":" in row.denoiser.key else ""
    return f"{row.denoiser.title}{outside} + {row.strategy}"


def _ranked(rows: Sequence[Row], column: Column) -> list[Ranked]:
    by_name: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        by_name[_name(row)][row.seed] = row.values[column.name]
    ranked = [Ranked(name, tuple(v for _, v in sorted(by_seed.items()))) for name, by_seed in by_name.items()]
    return sorted(ranked, key=lambda r: column.cost_of(r.mean))
