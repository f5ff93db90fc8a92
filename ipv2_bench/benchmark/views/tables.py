"""The files of each table: Markdown, details, CSV and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.benchmark.views.markdown import detail_markdown, table_markdown
from ipv2_bench.benchmark.views.table_csv import differences_csv, table_csv
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.files import write_text
from ipv2_bench.metrics.catalogue import catalogue


def table_views(
    config: Config, tables: Sequence[Table], rows: dict[str, list[list[Row]]]
) -> dict[str, TableView]:
    """The view of each table, by its key."""
    measures = catalogue(config.metrics.extra)
    return {t.key: TableView.of(t, rows[t.key], measures, config.meaningful) for t in tables}


def write_tables(out: Path, views: dict[str, TableView]) -> None:
    """Write each table as Markdown and CSV, its details, and its paired differences into the leaderboard's folder."""
    for key, view in views.items():
        write_text(out / f"{key}.csv", table_csv(view))
        write_text(out / f"{key}.md", table_markdown(view))
        write_text(out / f"{key}_detail.md", detail_markdown(view))
        write_text(out / f"{key}_differences.csv", differences_csv(view))
