"""Picture of a table: the same slices through every one of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.tables import UNTOUCHED, Table, TableLine
from ipv2_bench.benchmark.views.figures import example_slices, panel
from ipv2_bench.benchmark.views.strategy_options import option_words
from ipv2_bench.files import write_text
from ipv2_bench.fingerprint import digest
from ipv2_bench.purification.strategy import Strategy

VERSION = 3
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
    chosen = example_slices([prepared.slices.patient[i] for i in test])
    columns: list[tuple[str, np.ndarray]] = [("uLDCT", prepared.slices.low[test[chosen]])]
    shown: set[str] = set()
    for line in table.lines:
        images = benchmark.images(line, seed)
        if images.set_id in shown or line.denoiser == UNTOUCHED:
            continue
        shown.add(images.set_id)
        columns.append((image_title(benchmark, line, seed), images.images[chosen]))
    columns.append(("NDCT", prepared.slices.normal[test[chosen]]))
    if prepared.slices.truth is not None:
        columns.append(("aligned truth", prepared.slices.truth[test[chosen]]))
    notes = option_notes(line.strategy for line in table.lines)
    _draw(benchmark, columns, [*sorted(shown), *(title for title, _ in columns)], path, notes)


def image_title(benchmark: Benchmark, line: TableLine, seed: int) -> str:
    """The line in words, by the denoiser's title."""
    cell = benchmark.cell(line, seed)
    return line.name if cell is None else f"{cell.denoiser.title} + {line.strategy.name}"


def option_notes(strategies: Iterable[Strategy]) -> list[str]:
    """What the options in the titles mean."""
    return [f"[{option}]: {words}" for option, words in option_words(strategies).items()]


def _draw(
    benchmark: Benchmark,
    columns: list[tuple[str, np.ndarray]],
    content: list[str],
    path: Path,
    notes: Sequence[str],
) -> None:
    """Draw a panel, unless its file shows the same content."""
    mark = digest([content, *notes, benchmark.prepared.slices.manifest, VERSION])
    if drawn_before(benchmark.config.work, path, mark):
        return
    panel(columns, benchmark.prepared.window, path, notes=notes)
    note_drawn(benchmark.config.work, path, mark)


def drawn_before(work: Path, path: Path, mark: str) -> bool:
    """Whether a picture is there and shows what ``mark`` stands for."""
    marker = work / f"{path.stem}-picture.json"
    return path.exists() and marker.exists() and marker.read_bytes() == mark.encode()


def note_drawn(work: Path, path: Path, mark: str) -> None:
    """Note what a picture shows."""
    write_text(work / f"{path.stem}-picture.json", mark)
