"""Tables as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ipv2_bench.benchmark.rows.bounds import way_to_oracle
from ipv2_bench.benchmark.views.line_pairs import baseline_pairs
from ipv2_bench.benchmark.views.table_view import MAIN, TableView
from ipv2_bench.files import csv_text

NAMES = ("label", "denoiser", "strategy", "modules", "n_images", "n_seeds", "n_patients")


def table_csv(view: TableView) -> str:
    """The table as CSV: :func:`table_rows` in the order of :func:`table_columns`; empty where nothing was measured."""
    return csv_text(table_rows(view), table_columns(view))


def table_columns(view: TableView) -> list[str]:
    """Names of the columns of a table's rows, in order."""
    return [
        *NAMES,
        *(name for c in _shown(view, view.catalogue.columns) for name in (c, f"{c}_std", f"{c}_low", f"{c}_high")),
        *(f"way_to_oracle_{c}{end}" for c in _shown(view, view.catalogue.of_group(*MAIN)) for end in ("", "_low", "_high")),
        *(f"published_{c}" for c in view.catalogue.published),
    ]


def _shown(view: TableView, names: Iterable[str]) -> list[str]:
    """Columns that every table has, measured or not, and the optional ones that a line has."""
    return [c for c in names if c not in view.catalogue.optional or any(c in line.values for line in view.lines)]


def table_rows(view: TableView) -> list[dict[str, Any]]:
    """Each line by column: for each measure its mean, standard deviation over seeds and the ends of its 95 % interval.

    Published values have columns of their own. A row lacks what was not measured, or holds ``None`` there.
    """
    rows = []
    for line in view.lines:
        row: dict[str, Any] = {
            "label": line.label,
            "denoiser": line.denoiser,
            "strategy": line.strategy if line.denoiser else line.name,
            "modules": line.modules,
            "n_images": line.n_images,
            "n_seeds": len(line.seeds),
            "n_patients": line.sample.patients if line.sample else None,
            **{f"published_{c}": value for c, value in line.published.items()},
        }
        for name in _shown(view, view.catalogue.columns):
            column = view.catalogue.columns[name]
            row |= {name: line.mean.get(name), f"{name}_std": line.std.get(name)}
            if (ends := line.interval(column)) is not None:
                row |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
        for name in view.catalogue.of_group(*MAIN):
            if (way := way_to_oracle(view.lines, line, name)) is not None:
                row |= {f"way_to_oracle_{name}": way.mean}
                if math.isfinite(way.low):
                    row |= {f"way_to_oracle_{name}_low": way.low, f"way_to_oracle_{name}_high": way.high}
        rows.append(row)
    return rows


def differences_csv(view: TableView) -> str:
    """Every paired difference to a line's baseline with its 95 % interval, as CSV."""
    columns = ("label", "denoiser", "strategy", "against", "measure", "difference", "low", "high", "excludes_zero", "tells")
    rows = []
    for pair in baseline_pairs(view.lines):
        for column in view.catalogue.columns.values():
            difference = pair.difference(column)
            if difference is None:
                continue
            rows.append(
                {
                    "label": pair.line.label,
                    "denoiser": pair.line.denoiser,
                    "strategy": pair.line.strategy,
                    "against": pair.base.name,
                    "measure": column.name,
                    "difference": difference.mean,
                    "low": difference.low,
                    "high": difference.high,
                    "excludes_zero": difference.excludes_zero,
                    "tells": difference.tells,
                }
            )
    return csv_text(rows, columns)
