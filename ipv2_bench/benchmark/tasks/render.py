"""Tables and page from the files of rows, or the page from complete cells; nothing is trained."""

from __future__ import annotations

import sys
from pathlib import Path

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.choose import read_rows
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.views.html.page import page_name, write_page
from ipv2_bench.benchmark.views.html.pictures import kept_pictures
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.tables import table_views, write_tables


def render_rows(config: Config, numbers: list[int] | None = None) -> tuple[dict[str, TableView], Path]:
    """Write tables and page of a leaderboard again from the files of its rows.

    Neither data nor cells are needed. Pictures need them: those of ``pictures.json`` are kept when they are of the same
    images. A line without a row is reported on stderr and left out.

    Parameters
    ----------
    config
        Names the tables, the seeds and the folder.
    numbers
        Numbers of tables; all of the configuration's for ``None``.

    Returns
    -------
    tuple
        The view of each table, and the page.

    Raises
    ------
    InputError
        When the rows do not exist, are no rows, or cannot be in one table.
    """
    tables = load_tables(config, numbers)
    rows = read_rows(config.out, tables, config)
    views = table_views(config, tables, rows)
    write_tables(config.out, views)
    pictures = kept_pictures(config.out, page_name(config, tables), rows)
    if pictures is None:
        print("ipv2-bench: the page is without pictures: ipv2-bench report draws them from the cells", file=sys.stderr)
    return views, write_page(config, tables, rows, pictures, config.out)


def report(config: Config, numbers: list[int] | None = None, progress: bool = True) -> Path:
    """Write the page of a configuration's tables from complete cells; its path.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed.
    numbers
        Numbers of tables; all of the configuration's for ``None``.
    progress
        Show progress.

    Raises
    ------
    InputError
        When a cell is not complete.
    """
    from ipv2_bench.benchmark.cells.benchmark import Benchmark
    from ipv2_bench.benchmark.rows.make import Rows
    from ipv2_bench.benchmark.views.html.page import draw_page

    benchmark = Benchmark.open(config, load_tables(config, numbers), progress)
    benchmark.require_complete()
    return draw_page(benchmark, Rows(benchmark).of_tables(), config.out)
