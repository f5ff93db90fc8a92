"""Pictures of a board: the same slices through every line of a table, and one slice, large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.rows.make import TableRows
from ipv2_bench.benchmark.tables import UNTOUCHED, Table, TableLine
from ipv2_bench.benchmark.views.figures import LEAST_SIDE, example_slices, panel
from ipv2_bench.benchmark.views.strategy_options import option_words
from ipv2_bench.files import write_text
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.strategy import Strategy

LARGE = 288
"""Pixels that the one slice has along a side, at least."""

VERSION = 2
"""Version of the drawing: raise when the same images are drawn otherwise."""


def draw_table(benchmark: Benchmark, table: Table, path: Path) -> None:
    """Draw a table's picture, unless the same has been drawn: uLDCT, each image set once, NDCT and truth.

    Parameters
    ----------
    benchmark
        Complete cells; the first seed's images are shown.
    table
        Its lines become columns.
    path
        PNG file.
    """
    prepared, seed = benchmark.prepared, benchmark.config.seeds[0]
    test = prepared.split.test
    chosen = example_slices(len(test))
    columns: list[tuple[str, np.ndarray]] = [("uLDCT", prepared.slices.low[test[chosen]])]
    shown: set[str] = set()
    for line in table.lines:
        images = benchmark.images(line, seed)
        if images.set_id in shown or line.denoiser == UNTOUCHED:
            continue
        shown.add(images.set_id)
        columns.append((_title(benchmark, line, seed), images.images[chosen]))
    columns.append(("NDCT", prepared.slices.normal[test[chosen]]))
    if prepared.slices.truth is not None:
        columns.append(("aligned truth", prepared.slices.truth[test[chosen]]))
    notes = _notes(line.strategy for line in table.lines)
    _draw(benchmark, columns, [*sorted(shown), *(title for title, _ in columns)], path, notes)


def draw_one_slice(benchmark: Benchmark, rows: TableRows, path: Path) -> None:
    """Draw one test slice, large, unless the same has been drawn: uLDCT, the best denoised one, and the truth or the NDCT.

    The slice is one that shows lung and is as hard as others: see :func:`typical_slice`.

    Parameters
    ----------
    benchmark
        Complete cells; the first seed's images are shown.
    rows
        Of its tables: the row with the least error to the truth is shown, or that with the least distance.
    path
        PNG file. Nothing is drawn where no table has denoised images.
    """
    prepared, seed = benchmark.prepared, benchmark.config.seeds[0]
    line = _best_line(benchmark, rows)
    if line is None:
        return
    images = benchmark.images(line, seed)
    test = prepared.split.test
    known = prepared.slices.truth is not None
    target = prepared.slices.truth if prepared.slices.truth is not None else prepared.slices.normal
    targets = np.asarray(target[test])
    first = next(line for table in benchmark.tables for line in table.lines if line.denoiser)
    place = typical_slice(benchmark.images(first, seed).images, targets, prepared.window)
    truth = targets[place]
    shown = {"uLDCT": prepared.slices.low[test[place]], _title(benchmark, line, seed): images.images[place]}
    columns = []
    for title, image in shown.items():
        rmse = float(np.sqrt(np.mean((np.asarray(image) - truth) ** 2))) * prepared.window.width
        columns.append((f"{title}\n{rmse:.0f} HU from the truth" if known else title, np.asarray(image)[None]))
    columns.append(("aligned truth\n" if known else "NDCT (another breath)\n", truth[None]))
    content = [images.set_id, *(title for title, _ in columns), f"slice {place}"]
    _draw(benchmark, columns, content, path, _notes([line.strategy]), LARGE)


def typical_slice(denoised: np.ndarray, target: np.ndarray, window: Window) -> int:
    """Index of the slice whose error is nearest to the median, of those that show lung.

    A slice shows lung where the target has at least half as much of it (:func:`ipv2_bench.metrics.anatomy.regions`) as the slice
    that has most.

    Parameters
    ----------
    denoised, target
        The test slices, and what they should be; [n, N, N] in [0, 1].
    window
        HU of both.
    """
    from ipv2_bench.metrics.anatomy import regions

    lung = np.array([regions(np.asarray(x), window)["lung"].sum() for x in target])
    shows = np.flatnonzero(lung >= lung.max() / 2)
    error = np.array([np.sqrt(np.mean((denoised[i] - target[i]) ** 2)) for i in shows])
    return int(shows[np.argmin(np.abs(error - np.median(error)))])


def _best_line(benchmark: Benchmark, rows: TableRows) -> TableLine | None:
    """The line of a trained denoiser, no oracle, with the best mean over seeds of the error to the truth, or of the distance."""
    candidates = [
        (line, of_line)
        for table in benchmark.tables
        for line, of_line in zip(table.lines, rows[table.key], strict=True)
        if line.denoiser and of_line and not line.is_bound
    ]
    if not candidates:
        return None
    catalogue = benchmark.prepared.catalogue
    present = set.intersection(*(set(row.measures) for _, of_line in candidates for row in of_line))
    name = "rmse_hu" if "rmse_hu" in present else catalogue.main_distance(present)
    if name is None:
        return None
    column = catalogue.columns[name]
    return min(candidates, key=lambda c: float(np.mean([column.cost_of(row.measures[name]) for row in c[1]])))[0]


def _title(benchmark: Benchmark, line: TableLine, seed: int) -> str:
    cell = benchmark.cell(line, seed)
    return line.name if cell is None else f"{cell.denoiser.title} + {line.strategy.name}"


def _notes(strategies: Iterable[Strategy]) -> list[str]:
    """What the options in the titles mean."""
    return [f"[{option}]: {words}" for option, words in option_words(strategies).items()]


def _draw(
    benchmark: Benchmark,
    columns: list[tuple[str, np.ndarray]],
    content: list[str],
    path: Path,
    notes: Sequence[str],
    side: int = LEAST_SIDE,
) -> None:
    """Draw a panel, unless its file shows the same content."""
    mark = digest([content, *notes, benchmark.prepared.slices.manifest, VERSION])
    marker = benchmark.config.work / f"{path.stem}-picture.json"
    if path.exists() and marker.exists() and marker.read_text() == mark:
        return
    panel(columns, benchmark.prepared.window, path, side=side, notes=notes)
    write_text(marker, mark)
