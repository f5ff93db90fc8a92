"""The whole road: configuration → data → cells → rows → tables, pictures and dashboards."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark import dashboard
from ipv2_bench.benchmark.cell import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.dashboard_images import cell_panels
from ipv2_bench.benchmark.figures import example_slices, panel
from ipv2_bench.benchmark.from_rows import rendered, write_tables
from ipv2_bench.benchmark.lines import Line
from ipv2_bench.benchmark.plan import CellKey, Prepared, check, denoiser_title, parallelism, plan_cells, prepare
from ipv2_bench.benchmark.pool import Failure, parallel_map, run_cells
from ipv2_bench.benchmark.provenance import measuring_code
from ipv2_bench.benchmark.report.page import try_page
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.row_files import remove_superseded, write_row
from ipv2_bench.benchmark.tables import Table, load_tables
from ipv2_bench.data.slices import write_whole
from ipv2_bench.fingerprint import code, digest


@dataclass(frozen=True)
class Outcome:
    """What a run of the benchmark gave: Markdown and lines of each table, cells that failed, and where things lie.

    ``page``: the HTML page; ``None`` where cells failed or it could not be written.
    """

    markdown: dict[str, str]
    failures: list[Failure]
    out: Path
    lines: dict[str, list[Line]]
    page: Path | None = None


def reproduce(config: Config, only: list[int] | None = None, progress: bool = True) -> Outcome:
    """Compute the tables of a configuration and write them under ``leaderboards/<name>``.

    Whatever is complete is used again; an interrupted run goes on where it stopped, with the same result. A cell that
    fails is reported and left out of the tables.

    Parameters
    ----------
    config
        The benchmark.
    only
        Numbers of tables; all of the configuration's for ``None``.
    progress
        Show progress bars.

    Raises
    ------
    InputError
        When the configuration or the data are not usable, before anything is trained.
    """
    return run_tables(config, load_tables(config, only), progress)


def run_tables(config: Config, tables: list[Table], progress: bool = True) -> Outcome:
    """Like :func:`reproduce`, for any tables."""
    mode = dashboard.resolve_mode(config.wandb.mode)
    check(config, tables)
    ready = prepare(config, progress)
    cells = plan_cells(ready, tables)
    say = print if progress else lambda *_: None
    done = sum(spec.done for spec in cells.values())
    patients = len(set(ready.slices.patient)) if all(ready.slices.patient) else "unknown"
    say(
        f"{config.name}: {len(ready.split.train)} training and {len(ready.split.test)} test slices of "
        f"{patients} patients at {config.data.size}×{config.data.size}; "
        f"{len(cells)} cells, {done} of them complete"
    )
    started = time.monotonic()
    named = {cell_name(key, spec): spec for key, spec in cells.items()}
    processes, _ = parallelism(config)
    failures = run_cells(named, processes, progress)
    if done < len(cells):
        say(f"{len(cells) - done - len(failures)} cells computed in {(time.monotonic() - started) / 60:.1f} minutes")
    results = Results(ready, cells)
    out = Path(config.run.out) / config.name
    rows = {table.key: results.rows(table) for table in tables}
    written = {write_row(out, row.data): row.data for lines in rows.values() for line in lines for row in line}
    made = rendered(config, tables, rows)
    write_tables(out, made)
    if not failures:
        for table in tables:
            _picture(ready, results, table, out / f"{table.key}.png")
    superseded = remove_superseded(written)
    if superseded:
        say(f"rows of earlier code removed, each with a new one in its place: {superseded}")
    page = None if failures else try_page(results, tables, out)
    try:
        _dashboards(ready, results, cells, made.csv, sorted(written), mode, processes, progress)
    except Exception as error:  # whatever W&B has: the tables are there and must be shown
        print(
            f"ipv2-bench: W&B could not be written ({type(error).__name__}: {error}); the tables are complete",
            file=sys.stderr,
        )
    return Outcome(made.markdown, failures, out, made.lines, page)


def cell_name(key: CellKey, spec: CellSpec) -> str:
    """How a cell is called in bars, messages and W&B. Denoisers from outside go by their key: titles may repeat."""
    title = key.denoiser if ":" in key.denoiser else spec.title
    return f"{title} · {training_name(spec)} · seed {key.seed}"


def training_name(spec: CellSpec) -> str:
    """The strategy as far as training goes: IPv1+1+2 and IPv2 train on the same pairs."""
    return spec.strategy.name.replace("IPv1+1+2", "IPv2") if not spec.strategy.remove_noise else spec.strategy.name


def _picture(ready: Prepared, results: Results, table: Table, path: Path) -> None:
    seed = ready.config.seeds[0]
    test = ready.split.test
    chosen = example_slices(len(test))
    columns: list[tuple[str, np.ndarray]] = [("uLDCT", ready.slices.low[test[chosen]])]
    shown: set[str] = set()
    for row in table.rows:
        images = (
            results.denoised(row.denoiser, row.strategy, seed) if row.denoiser else results.label(row.strategy, seed)
        )
        if images.set_id in shown:
            continue
        shown.add(images.set_id)
        title = denoiser_title(ready.config, row.denoiser) if row.denoiser else ""
        name = f"{title} + {row.strategy.name}" if title else f"{row.strategy.name}(NDCT)"
        columns.append((name.replace(" [", "\n["), images.images[chosen]))
    columns.append(("NDCT", ready.slices.normal[test[chosen]]))
    if ready.slices.truth is not None:
        columns.append(("aligned truth", ready.slices.truth[test[chosen]]))
    drawing = code("benchmark/figures.py", "benchmark/reproduce.py")
    drawn = digest([sorted(shown), [t for t, _ in columns], ready.slices.manifest, drawing])
    marker = ready.work / f"{table.key}-picture.json"
    if path.exists() and marker.exists() and marker.read_text() == drawn:
        return
    panel(columns, ready.window, path)
    write_whole(marker, lambda file: file.write(drawn.encode()))


def _dashboards(
    ready: Prepared,
    results: Results,
    cells: dict[CellKey, CellSpec],
    csvs: dict[str, str],
    rows: Sequence[Path],
    mode: str,
    processes: int,
    progress: bool,
) -> None:
    if mode == "disabled":
        return
    config, root = ready.config, ready.work / "wandb"
    runs = []
    for key, spec in cells.items():
        if not spec.done:
            continue
        run = dashboard.CellRun(
            folder=spec.folder,
            name=cell_name(key, spec),
            run_id=spec.cell_id,
            group=config.name,
            project=config.wandb.project,
            mode=mode,
            measured=measuring_code(),
        )
        if run.published:
            continue
        cost = json.loads((spec.folder / "result.json").read_text())
        runs.append(
            replace(
                run,
                config={
                    "denoiser": key.denoiser,
                    "strategy": spec.strategy.name,
                    "seed": key.seed,
                    "options": spec.options,
                    **results.provenance,
                },
                metrics={
                    **results.cell_metrics(key),
                    **{k: v for k, v in cost.items() if isinstance(v, (int, float))},
                },
                draw=partial(cell_panels, ready.slices, ready.split.test, ready.window, spec.folder),
            )
        )
    if runs and not all(map(dashboard.can_carry, (root, *rows))):
        print(
            "ipv2-bench: W&B's runs go without weights or rows that are outside of the working folder, since their paths "
            "would be written down; to have them there, start the command where run.work and run.out are",
            file=sys.stderr,
        )
    parallel_map(partial(dashboard.publish_cell, root=root), runs, processes)
    dashboard.publish_tables(csvs, rows, config.name, config.wandb.project, mode, root)
    if progress and mode == "offline":
        print(f"W&B runs are kept offline; send them with: wandb sync {root}/wandb/offline-run-*")
