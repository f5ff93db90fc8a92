"""``ipv2-bench report``: the page again, from complete cells."""

from __future__ import annotations

from pathlib import Path

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.plan import check, plan_cells, prepare
from ipv2_bench.benchmark.report.page import draw_page
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.errors import InputError


def report(config: Config, only: list[int] | None = None, progress: bool = True) -> Path:
    """Write the page of a configuration's tables without training anything; its path comes back.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed.
    only
        Numbers of tables; all of the configuration's for ``None``.
    progress
        Show progress bars.

    Raises
    ------
    InputError
        When a cell is not complete.
    """
    tables = load_tables(config, only)
    check(config, tables)
    ready = prepare(config, progress)
    cells = plan_cells(ready, tables)
    missing = [f"{spec.title} + {spec.strategy.name}, seed {spec.seed}" for spec in cells.values() if not spec.done]
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        raise InputError(f"{missing[0]}{more} not complete: run ipv2-bench reproduce with the same settings first")
    return draw_page(Results(ready, cells), tables, Path(config.run.out) / config.name)
