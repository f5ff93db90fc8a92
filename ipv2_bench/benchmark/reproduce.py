"""The whole road: configuration → data → cells → rows → tables, pictures and dashboards."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark import dashboard, render
from ipv2_bench.benchmark.cell import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.dashboard_images import cell_panels
from ipv2_bench.benchmark.figures import example_slices, panel
from ipv2_bench.benchmark.lines import Line, lines
from ipv2_bench.benchmark.plan import CellKey, Prepared, check, denoiser_title, parallelism, plan_cells, prepare
from ipv2_bench.benchmark.pool import Failure, parallel_map, run_cells
from ipv2_bench.benchmark.provenance import measuring_code
from ipv2_bench.benchmark.report.page import try_page
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.tables import Table, load_tables
from ipv2_bench.data.slices import write_whole
from ipv2_bench.fingerprint import digest


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
    markdown, csvs, joined = {}, {}, {}
    written: dict[Path, dict[str, Any]] = {}
    for table in tables:
        rows = results.rows(table)
        written |= {_write_row(out, row.data): row.data for of_line in rows for row in of_line}
        found = joined[table.key] = lines(table, rows, results.draws)
        csvs[table.key] = render.to_csv(found, table.images)
        markdown[table.key] = render.to_markdown(table, found, config.meaningful)
        write_text(out / f"{table.key}.csv", csvs[table.key])
        write_text(out / f"{table.key}.md", markdown[table.key])
        write_text(out / f"{table.key}_detail.md", render.to_detail(table, found, config.meaningful))
        write_text(out / f"{table.key}_differences.csv", render.differences(found))
        if not failures:
            _picture(ready, results, table, out / f"{table.key}.png")
    superseded = _remove_superseded(written)
    if superseded:
        say(f"rows of earlier code removed, each with a new one in its place: {superseded}")
    page = None if failures else try_page(results, tables, joined, out)
    try:
        _dashboards(ready, results, cells, csvs, sorted(written), mode, processes, progress)
    except Exception as error:  # whatever W&B has: the tables are there and must be shown
        print(
            f"ipv2-bench: W&B could not be written ({type(error).__name__}: {error}); the tables are complete",
            file=sys.stderr,
        )
    return Outcome(markdown, failures, out, joined, page)


def cell_name(key: CellKey, spec: CellSpec) -> str:
    """How a cell is called in bars, messages and W&B. Denoisers from outside go by their key: titles may repeat."""
    title = key.denoiser if ":" in key.denoiser else spec.title
    return f"{title} · {training_name(spec)} · seed {key.seed}"


def training_name(spec: CellSpec) -> str:
    """The strategy as far as training goes: IPv1+1+2 and IPv2 train on the same pairs."""
    return spec.strategy.name.replace("IPv1+1+2", "IPv2") if not spec.strategy.remove_noise else spec.strategy.name


def _write_row(out: Path, row: dict[str, Any]) -> Path:
    # The same images may stand in two tables under two names of the lattice, such as IPv1+1+2 and IPv2.
    name = re.sub(r"[^A-Za-z0-9+]+", "-", f"{row['images']} {row['strategy']} {row['label']}").strip("-")
    text = json.dumps(row, indent=1, ensure_ascii=False) + "\n"
    path = out / "rows" / f"{name}.json"
    write_text(path, text)
    return path


def _remove_superseded(written: dict[Path, dict[str, Any]]) -> int:
    """Remove rows that earlier code gave for the very lines that have new ones; any others stay."""
    now = {_line_identity(row) for row in written.values()}
    removed = 0
    for folder in {path.parent for path in written}:
        for path in sorted(folder.glob("*.json")):
            if path in written:
                continue
            with suppress(ValueError):  # what is no JSON was not written here
                if _line_identity(json.loads(path.read_text(encoding="utf-8"))) in now:
                    path.unlink()
                    removed += 1
    return removed


def _line_identity(row: dict[str, Any]) -> str:
    """Hash of what a row stands for, whatever code computed it: line, seed, data, budget and sizes of the denoisers."""
    of_line = [row.get(k) for k in ("label", "denoiser_key", "strategy", "seed")]
    came = row.get("provenance", {})
    return digest(
        [of_line, [came.get(k) for k in ("benchmark", "data_manifest", "window_hu", "split", "budget", "denoisers")]]
    )


def write_text(path: Path, text: str) -> None:
    """Write only what changed, so that nothing is touched when nothing is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, lambda file: file.write(text.encode()))


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
    drawn = digest([sorted(shown), [t for t, _ in columns], ready.slices.manifest])
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
    parallel_map(partial(dashboard.publish_cell, root=root), runs, processes)
    dashboard.publish_tables(csvs, rows, config.name, config.wandb.project, mode, root)
    if progress and mode == "offline":
        print(f"W&B runs are kept offline; send them with: wandb sync {root}/wandb/offline-run-*")
