"""A whole benchmark: data, cells, rows, tables, pictures, page and W&B."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.plan import check_devices
from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.make import Rows, TableRows
from ipv2_bench.benchmark.rows.set_aside import set_aside
from ipv2_bench.benchmark.tables import Table, load_tables
from ipv2_bench.benchmark.views.earlier import earlier_files
from ipv2_bench.benchmark.views.html.page import HERO, INDEX, page_name, try_page
from ipv2_bench.benchmark.views.panels import draw_table
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.tables import table_views, write_tables
from ipv2_bench.benchmark.views.wandb.live import following
from ipv2_bench.benchmark.views.wandb.publish import destination_of, publish, unfinished


@dataclass(frozen=True)
class Outcome:
    """What a run of a benchmark gave.

    Attributes
    ----------
    out
        Folder of the tables.
    views, rows
        Of each table, by its key.
    failures
        Cells that could not be completed.
    page
        The HTML page; ``None`` where cells failed or it could not be written.
    """

    out: Path
    views: dict[str, TableView]
    rows: TableRows = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    page: Path | None = None


def reproduce(config: Config, numbers: list[int] | None = None, progress: bool = True) -> Outcome:
    """Compute the tables of a configuration and write them under ``leaderboards/<name>``.

    Whatever is complete is used again; an interrupted run goes on where it stopped, with the same result. A cell that
    fails is reported and left out of the tables.

    Parameters
    ----------
    config
        The benchmark.
    numbers
        Numbers of tables; all of the configuration's for ``None``.
    progress
        Show progress.

    Raises
    ------
    InputError
        When the configuration or the data are not usable, before anything is trained.
    """
    return run_tables(config, load_tables(config, numbers), progress)


def run_tables(config: Config, tables: Sequence[Table], progress: bool = True) -> Outcome:
    """Like :func:`reproduce`, for any tables."""
    check_devices(config)  # before the data are made
    benchmark = Benchmark.open(config, tables, progress)
    report: Callable[[str], None] = print if progress else (lambda _: None)
    report(_summary(benchmark))
    begin, todo = time.monotonic(), len(benchmark.incomplete())
    rows_of, to = Rows(benchmark), destination_of(config)
    with following(unfinished(to, benchmark, rows_of)) as failures:
        failures += benchmark.compute(progress)
    if todo:
        report(f"{todo - len(failures)} cells completed in {(time.monotonic() - begin) / 60:.1f} minutes")
    rows = rows_of.of_tables()
    written = rows_of.write(config.out)
    if moved := set_aside(config.out, tables, config, written):
        report(f"rows that the new ones replace, such as those of earlier code: {len(moved)}, now in {moved[0].parent}")
    views = table_views(config, tables, rows)
    write_tables(config.out, views)
    page = None if failures else _draw(benchmark, rows)
    if failures:
        _report_earlier_pictures(config, tables)
    publish(to, benchmark, rows_of, views, sorted(written), progress)
    return Outcome(config.out, views, rows, failures, page)


def _draw(benchmark: Benchmark, rows: TableRows) -> Path | None:
    """Draw the pictures of the tables and write their page; its path, ``None`` where it could not be written."""
    config, tables = benchmark.config, benchmark.tables
    for table in tables:
        draw_table(benchmark, table, config.out / f"{table.key}.png")
    return try_page(benchmark, rows, config.out)


def _report_earlier_pictures(config: Config, tables: Sequence[Table]) -> None:
    """Say which page and pictures are still of earlier results, since none are drawn while cells fail."""
    name = page_name(config, tables)
    names = [name, *(f"{table.key}.png" for table in tables), *([HERO] if name == INDEX else [])]
    if kept := earlier_files(config.out / name for name in names):
        print(f"ipv2-bench: page and pictures are not drawn while cells fail; {kept}", file=sys.stderr)


def _summary(benchmark: Benchmark) -> str:
    config, split, slices = benchmark.config, benchmark.prepared.split, benchmark.prepared.slices
    patients = str(len(set(slices.patient))) if all(slices.patient) else "unknown"
    complete = len(benchmark.cells) - len(benchmark.incomplete())
    return (
        f"{config.name}: {len(split.train)} training and {len(split.test)} test slices of {patients} patients at "
        f"{config.data.size}×{config.data.size}; {len(benchmark.cells)} cells, {complete} of them complete"
    )
