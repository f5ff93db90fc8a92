"""From rows to what is read: the files of each table, and ``ipv2-bench render``, which needs the rows' files alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ipv2_bench.benchmark import render
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.lines import Line, lines
from ipv2_bench.benchmark.out_folder import write_text
from ipv2_bench.benchmark.report.page import TableRows, kept_pictures, page_name, write_page
from ipv2_bench.benchmark.row_choice import read_rows
from ipv2_bench.benchmark.tables import Table, load_tables


@dataclass(frozen=True)
class Rendered:
    """Markdown, details, CSV and lines of each table by its key."""

    markdown: dict[str, str]
    detail: dict[str, str]
    csv: dict[str, str]
    lines: dict[str, list[Line]]


def rendered(config: Config, tables: Sequence[Table], rows: TableRows) -> Rendered:
    """Each table as it is written.

    Parameters
    ----------
    config
        Says whether a table without rows means anything.
    tables, rows
        What stands in them, by the table's key.
    """
    made = Rendered({}, {}, {}, {})
    for table in tables:
        of_table = rows[table.key]
        found = made.lines[table.key] = lines(table, of_table)
        told = [row.data["provenance"]["meaningful"] for line in of_table for row in line]
        meaningful = all(told or [config.meaningful])
        made.csv[table.key] = render.to_csv(found, table.images)
        made.markdown[table.key] = render.to_markdown(table, found, meaningful)
        made.detail[table.key] = render.to_detail(table, found, meaningful)
    return made


def write_tables(out: Path, made: Rendered) -> None:
    """Write each table as Markdown and CSV, its details, and its paired differences into the leaderboard's folder."""
    for key, found in made.lines.items():
        write_text(out / f"{key}.csv", made.csv[key])
        write_text(out / f"{key}.md", made.markdown[key])
        write_text(out / f"{key}_detail.md", made.detail[key])
        write_text(out / f"{key}_differences.csv", render.differences(found))


def render_rows(config: Config, only: list[int] | None = None) -> tuple[Rendered, Path]:
    """Write tables and page of a leaderboard again from the files of its rows; what is written and the folder come back.

    Neither data nor cells are needed. Pictures need them: those of a page that is there are kept when they are of the same
    images. A line without a row is told on stderr and left out.

    Parameters
    ----------
    config
        Names the tables, the seeds and the folder.
    only
        Numbers of tables; all of the configuration's for ``None``.

    Raises
    ------
    InputError
        When the rows are not there, are no rows, or cannot stand in one table.
    """
    tables, out = load_tables(config, only), Path(config.run.out) / config.name
    rows = read_rows(out, tables, config)
    made = rendered(config, tables, rows)
    write_tables(out, made)
    inside = kept_pictures(out / page_name(config, tables), rows)
    if not inside:
        print("ipv2-bench: the page is without pictures: ipv2-bench report draws them from the cells", file=sys.stderr)
    write_page(config, tables, rows, inside, out)
    return made, out
