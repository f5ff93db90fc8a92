"""One cell on its own: train it, or measure it."""

from __future__ import annotations

from ipv2_bench.benchmark import render
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.lines import lines
from ipv2_bench.benchmark.plan import check, parallelism, plan_cells, prepare
from ipv2_bench.benchmark.pool import run_cells
from ipv2_bench.benchmark.reproduce import cell_name
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.tables import Table, TableRow
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy


def _table(denoiser: str, strategy: str, background: str) -> Table:
    row = TableRow("NDCT", denoiser, Strategy.from_name(strategy, background=background))
    return Table("cell", "one cell", "denoised", (row,), {})


def train(config: Config, denoiser: str, strategy: str, background: str, progress: bool = True) -> str:
    """Train a denoiser under a strategy with every seed of the configuration; the weights' places come back.

    Raises
    ------
    InputError
        When a name is unknown, the data are not usable, or training fails.
    """
    table = _table(denoiser, strategy, background)
    check(config, [table])
    cells = plan_cells(prepare(config, progress), [table])
    failures = run_cells({cell_name(k, s): s for k, s in cells.items()}, parallelism(config)[0], progress)
    if failures:
        raise InputError(f"{failures[0].name} failed: {failures[0].message}")
    return "\n".join(f"{cell_name(k, s)}: {s.folder / 'model.safetensors'}" for k, s in cells.items())


def evaluate(config: Config, denoiser: str, strategy: str, background: str, progress: bool = True) -> str:
    """The table line of a trained denoiser, as Markdown.

    Raises
    ------
    InputError
        When it has not been trained with this configuration.
    """
    table = _table(denoiser, strategy, background)
    check(config, [table])
    ready = prepare(config, progress)
    cells = plan_cells(ready, [table])
    trained = ("model.safetensors", "result.json")  # a denoiser without weights leaves the second alone
    missing = [cell_name(k, s) for k, s in cells.items() if not any((s.folder / f).exists() for f in trained)]
    if missing:
        raise InputError(f"{missing[0]} is not trained: run ipv2-bench train with the same settings first")
    failures = run_cells({cell_name(k, s): s for k, s in cells.items()}, parallelism(config)[0], progress)
    if failures:
        raise InputError(f"{failures[0].name} failed: {failures[0].message}")
    results = Results(ready, cells)
    return render.to_markdown(table, lines(table, results.rows(table)), config.meaningful)
