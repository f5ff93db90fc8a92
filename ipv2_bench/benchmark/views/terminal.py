"""Tables for a terminal of 100 columns, and where the rest was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ipv2_bench.benchmark.views.sentences import NOT_MEANT, directions
from ipv2_bench.benchmark.views.table_view import MAIN, TableView

WIDTH = 100
ASKED = ("rmse_hu", "psnr_db", "ssim", "noise_hu_lung", "noise_hu_background", "noise_hu_tissue", "rmse_hu_rim")
"""Columns beside the main distance, in the order in which they are dropped from the end where a terminal is narrow."""


def outcome_text(views: Mapping[str, TableView], out: Path, page: Path | None) -> str:
    """What a command prints at its end: every table, then the folder and the page."""
    texts = [table_text(view) for view in views.values()]
    texts.append(f"written to {out}" + (f"; open {page} in a browser" if page else ""))
    return "\n" + "\n\n".join(texts)


def table_text(view: TableView, width: int = WIDTH) -> str:
    """A table with aligned columns, as many as fit into ``width``, and what comes out of it."""
    lines = [f"{view.heading}: {view.table.title}"]
    if not view.meaningful:
        lines.append(NOT_MEANT)
    rows = _rows(view)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    shown = len(widths)
    while shown > 2 and sum(widths[:shown]) + 2 * (shown - 1) > width:
        shown -= 1
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:shown], widths[1:shown], strict=True))]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("-" * (sum(widths[:shown]) + 2 * (shown - 1)))
    if shown < len(widths):
        lines.append(f"({len(widths) - shown} more columns are in the files)")
    lines += [f"- {text.partition(';')[0].rstrip('.')}." for text in directions(view)[:2]]
    return "\n".join(lines)


def _rows(view: TableView) -> list[list[str]]:
    """Head and lines: name, main distance, change against the baseline, then the columns that are asked for."""
    present = {c.name: c for c in view.present(*MAIN)}
    main = view.catalogue.main_distance(present)
    columns = [present[name] for name in (main, *ASKED) if name is not None and name in present]
    several = len(view.labels) > 1
    rows = [["", *(c.heading for c in columns)]]
    for line in view.lines:
        name = f"{line.name} to {line.label}" if several else line.name
        cells = []
        for c in columns:
            cell = view.cell(line, c)
            cells.append(f"{cell.text} ({cell.change})" if cell.change and c is columns[0] else cell.text)
        rows.append([name, *cells])
    return rows
