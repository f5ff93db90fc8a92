"""The W&B run of a benchmark's tables, which carries the files of their rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.views.table_csv import table_columns, table_csv, table_rows
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.benchmark.views.wandb.runs import (
    Destination,
    can_upload,
    is_written,
    log_artifact,
    mark_written,
    use_artifacts,
    write_run,
)
from ipv2_bench.files import number_text, sha256_of
from ipv2_bench.fingerprint import digest


def publish_tables(
    views: Mapping[str, TableView], row_files: Sequence[Path], destination: Destination, images: Sequence[str] = ()
) -> None:
    """Write one run with the tables and the files of their rows, unless the same has been written.

    Parameters
    ----------
    views
        Tables by key.
    row_files
        Files of the rows; they become an artifact as far as they are inside of the working folder.
    destination
        Where it is written.
    images
        Names of the artifacts with the images that the rows are of.

    Raises
    ------
    InputError
        When W&B leaves no file.
    """
    texts = {key: table_csv(view) for key, view in views.items()}
    content = [sha256_of(path) for path in row_files]
    to, marker = destination, destination.root / "tables.json"
    fingerprint = digest([texts, content, to.group, to.project, to.mode, all(map(can_upload, row_files))])
    if to.mode == "disabled" or is_written(marker, fingerprint):
        return
    import wandb

    missing: list[str] = []

    def fill(run: Any) -> None:
        for key, view in views.items():
            # As pages, since a wandb.Table keeps the absolute path of its staging folder in the run's file.
            run.log({key: wandb.Html(_html(view), inject=False)})
            run.summary.update(_means(key, view))
        missing[:] = use_artifacts(run, images)
        log_artifact(run, f"rows-{to.group}", "rows", {path.name: path for path in row_files})

    write_run(fill, f"tables-{fingerprint}", to, job_type="tables", name=f"{to.group} tables")
    mark_written(marker, fingerprint)
    if missing:
        print(
            f"ipv2-bench: W&B has no artifact {missing[0]} ({len(missing)} such), so that the rows' lineage goes without it",
            file=sys.stderr,
        )


def _html(view: TableView) -> str:
    """A table with the columns and numbers of its CSV file as HTML."""
    columns = table_columns(view)
    rows = [[_text(row.get(name)) for name in columns] for row in table_rows(view)]
    return render("wandb_table.html.j2", header=columns, rows=rows)


def _text(value: str | float | None) -> str:
    return number_text(value) if isinstance(value, float) or value is None else str(value)


def _means(key: str, view: TableView) -> dict[str, float]:
    """Mean of every column of every line as the CSV file has it, by ``table/label/line/column``."""
    texts = {
        f"{key}/{line.label}/{line.name}/{column}": number_text(line.mean.get(column))
        for line in view.lines
        for column in view.catalogue.columns
    }
    return {name: float(text) for name, text in texts.items() if text}
