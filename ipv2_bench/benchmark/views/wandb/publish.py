"""A benchmark on Weights & Biases: a run for each complete cell, and one for the tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.plan import parallelism
from ipv2_bench.benchmark.cells.runners.local import IMPORTED
from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.settings import WandbSettings
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.wandb.cell_run import CellRun, images_name, publish_cell
from ipv2_bench.benchmark.views.wandb.live import following, report_not_followed
from ipv2_bench.benchmark.views.wandb.panels import cell_panels
from ipv2_bench.benchmark.views.wandb.runs import Destination, can_upload
from ipv2_bench.benchmark.views.wandb.tables_run import publish_tables
from ipv2_bench.benchmark.views.wandb.wishes import resolve_mode, run_of_sweep, variable
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.lease import Leases
from ipv2_bench.processes import parallel_map
from ipv2_bench.progress import line


def publish(
    to: Destination | None,
    benchmark: Benchmark,
    rows: Rows,
    views: Mapping[str, TableView],
    row_files: Sequence[Path],
    progress: bool,
) -> None:
    """Write what is new of a benchmark's runs. Trouble with W&B is reported on stderr: the tables are complete without it.

    Parameters
    ----------
    to
        Where they go, as :func:`destination_of` says.
    benchmark
        Its complete cells get a run each.
    rows
        The measures of these cells.
    views, row_files
        Tables by key, and the files of their rows.
    progress
        Print how to send runs that are kept offline.
    """
    if to is None:
        return
    try:
        with Leases() as leases:  # of two runs of a board the second finds everything written
            leases.wait(to.root, line)
            _publish(to, benchmark, rows, views, row_files, progress)
    except Exception as error:  # whatever W&B, its service or the network raises
        print(f"ipv2-bench: W&B could not be written ({cause_of(error)}); the tables are complete", file=sys.stderr)


def destination_of(config: Config) -> Destination | None:
    """Where runs go: as the settings say, and as W&B's own variables do for what the settings leave open; ``None`` for nowhere.

    Trouble with W&B is reported on stderr.
    """
    try:
        given = config.wandb.project != WandbSettings().project
        project = config.wandb.project if given else variable("WANDB_PROJECT") or config.wandb.project
        folder = Path(variable("WANDB_DIR") or config.work / "wandb")
        to = Destination(project, variable("WANDB_RUN_GROUP") or config.name, resolve_mode(config.wandb.mode), folder)
        return None if to.mode == "disabled" else to
    except Exception as error:  # whatever its settings files raise
        print(f"ipv2-bench: W&B cannot be used ({cause_of(error)}); the tables come without it", file=sys.stderr)
        return None


def unfinished(to: Destination | None, benchmark: Benchmark, rows: Rows) -> list[CellRun]:
    """The runs of cells that are not complete, each once, to be followed."""
    if to is None:
        return []
    try:
        todo = {spec.cell_id: spec for spec in benchmark.cells.values() if not spec.complete}
        return [replace(_run_of(spec, benchmark, to), config=_settings(spec, rows)) for spec in todo.values()]
    except Exception as error:  # what is looked up for W&B alone stops no training
        report_not_followed(error)
        return []


@contextmanager
def followed_training(benchmark: Benchmark, asked: Sequence[CellSpec]) -> Iterator[list[Failure]]:
    """Follow the trainings of a benchmark's cells, and write the runs of those that are complete; no tables.

    The block puts those that failed into the list that it is given. Under an agent of a sweep there is one run: that of the cell
    that was asked for, with the name that the agent gave it; it says nothing of the test slices. Trouble with W&B is reported on
    stderr.

    Raises
    ------
    InputError
        When a trial of a sweep would be several cells.
    """
    to, rows = destination_of(benchmark.config), Rows(benchmark)
    given = run_of_sweep()
    if given and len(asked) > 1:
        raise InputError(f"a trial of a sweep is one cell, and there are {len(asked)} seeds: set seeds=[0]")
    runs = unfinished(to, benchmark, rows)
    if given:
        runs = [replace(run, given_id=given) for run in runs if run.cell_id == asked[0].cell_id]
    with following(runs) as failures:
        yield failures
    if to is None:
        return
    try:
        with Leases() as leases:
            leases.wait(to.root, line)
            for run in _trial(asked[0], benchmark, rows, to, given) if given else _new_runs(benchmark, rows, to):
                publish_cell(run)
    except Exception as error:  # whatever W&B, its service or the network raises
        print(f"ipv2-bench: W&B could not be written ({cause_of(error)}); the cells are complete without it", file=sys.stderr)


def _trial(spec: CellSpec, benchmark: Benchmark, rows: Rows, to: Destination, given: str) -> list[CellRun]:
    """The run of a sweep's trial, settings and training alone; none where its cell has failed."""
    run = replace(_run_of(spec, benchmark, to), config=_settings(spec, rows), given_id=given, draw=list)
    return [run] if spec.complete else []


def _publish(
    to: Destination,
    benchmark: Benchmark,
    rows: Rows,
    views: Mapping[str, TableView],
    row_files: Sequence[Path],
    progress: bool,
) -> None:
    runs = _new_runs(benchmark, rows, to)
    if runs and not all(map(can_upload, (to.root, *row_files))):
        print(
            "ipv2-bench: W&B's runs go without weights or rows that are outside of the working folder, since their paths "
            "would be written down; to have them there, start the command where run.work and run.out are",
            file=sys.stderr,
        )
    parallel_map(publish_cell, runs, parallelism(benchmark.config)[0], IMPORTED)  # they need no GPU
    complete = sorted({s.cell_id for s in benchmark.cells.values() if s.complete and can_upload(s.folder)})
    publish_tables(views, row_files, to, [images_name(cell_id) for cell_id in complete])
    if progress and to.mode == "offline":
        print(f"W&B runs are kept offline; send them with: wandb sync {to.root}/wandb/offline-run-*")


def _new_runs(benchmark: Benchmark, rows: Rows, destination: Destination) -> list[CellRun]:
    """The runs of complete cells that have not been written."""
    runs = []
    for spec in benchmark.cells.values():
        if not spec.complete:
            continue
        run = _run_of(spec, benchmark, destination)
        if not run.published:
            runs.append(replace(run, config=_settings(spec, rows), metrics=_values(spec, rows)))
    return runs


def _run_of(spec: CellSpec, benchmark: Benchmark, destination: Destination) -> CellRun:
    """The run of a cell, without its settings and measures."""
    prepared = benchmark.prepared
    return CellRun(
        folder=spec.folder,
        name=spec.name,
        cell_id=spec.cell_id,
        measuring=spec.measuring,
        destination=destination,
        tags=(spec.denoiser.key[:64], spec.strategy.name[:64], benchmark.config.name[:64], f"seed {spec.seed}"),
        draw=partial(cell_panels, prepared.slices, prepared.split.test, prepared.window, spec.folder),
    )


def _settings(spec: CellSpec, rows: Rows) -> dict[str, Any]:
    """Settings of a cell, and the provenance that it shares with all others."""
    return {
        "denoiser": spec.denoiser.key,
        "strategy": spec.strategy.name,
        "seed": spec.seed,
        "options": spec.denoiser.options,
        **rows.provenance.model_dump(mode="json"),
    }


def _values(spec: CellSpec, rows: Rows) -> dict[str, float]:
    """Measures of a cell, and the numbers of its cost."""
    cost = {k: v for k, v in spec.cost.model_dump().items() if isinstance(v, (int, float))}
    return {**rows.cell_values(spec), **cost}
