"""Figures as PNG files: panels of slices in the windows of radiology, and matplotlib set up to draw into files."""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.files import write_whole
from ipv2_bench.physics.intensity import Window

WINDOWS = {"lung": (-1350.0, 150.0), "mediastinum": (-160.0, 240.0)}
"""Level −600 width 1500, and level 40 width 400, as (low, high) in HU."""


LEAST_SIDE = 128
"""Pixels that a slice in a picture has along a side, at least; smaller slices are enlarged, pixel for pixel."""

ACROSS = 8
"""Most slices beside each other; further columns continue below."""

GAP, DPI = 4, 100
"""Pixels between slices, and dots per inch of the figures that hold them."""


def panel(
    columns: Sequence[tuple[str, np.ndarray]],
    window: Window,
    path: Path,
    show: str = "lung",
    side: int = LEAST_SIDE,
    notes: Sequence[str] = (),
) -> None:
    """Write a PNG with one column per image set, every slice at its own pixels or a whole multiple of them.

    Parameters
    ----------
    columns
        Title and images [n, N, N] in [0, 1]; the n slices become rows. All of them have the same n and N.
    window
        HU of the images.
    path
        Where the picture appears, whole.
    show
        A key of :data:`WINDOWS`.
    side
        Least pixels along a side of a slice.
    notes
        Sentences below the slices.
    """
    n, size = len(columns[0][1]), columns[0][1].shape[-1]
    times = -(-side // size)
    step = size * times + GAP
    per_row = -(-len(columns) // -(-len(columns) // ACROSS))
    letter = max(11.0, size * times / 24)  # height in pixels
    line = round(1.35 * letter)
    titles = [_wrapped(title, size * times, letter) for title, _ in columns]
    head = line * max(title.count("\n") + 1 for title in titles) + GAP
    width = per_row * step - GAP
    foot = "\n".join(_wrapped(note, width, letter) for note in notes)
    below = line * (foot.count("\n") + 1) + GAP if foot else 0
    height = -(-len(columns) // per_row) * (head + n * step) + below
    figure = pyplot().figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    words = {"fontsize": letter * 72 / DPI, "va": "bottom"}
    low, high = WINDOWS[show]
    for k, (_, images) in enumerate(columns):
        left, top = k % per_row * step, k // per_row * (head + n * step) + head
        figure.text((left + (step - GAP) / 2) / width, 1 - (top - GAP) / height, titles[k], ha="center", **words)
        for i in range(n):
            hu = window.hu(np.asarray(images[i])).repeat(times, 0).repeat(times, 1)
            figure.figimage(hu, left, height - top - (i + 1) * step + GAP, cmap="gray", vmin=low, vmax=high, origin="upper")
    if foot:
        figure.text(0, GAP / height, foot, ha="left", **words)
    save_figure(figure, path, dpi=DPI, grey=True)


def _wrapped(text: str, width: int, letter: float) -> str:
    """Text in lines that are no wider than some pixels, for letters of a height."""
    most = max(int(width / (0.58 * letter)), 8)
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, most) or [""])


@cache
def pyplot() -> Any:
    """Matplotlib's pyplot, drawing into files, and alike whatever a ``matplotlibrc`` or a variable of the user says."""
    import matplotlib

    matplotlib.rcdefaults()
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def save_figure(figure: Any, path: Path, dpi: int = 100, grey: bool = False) -> None:
    """Write a figure as a PNG, whole, without metadata, and close it.

    ``grey`` keeps one channel, a third of the size, for figures that have no colour.
    """
    from PIL import Image

    drawn, written = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
    pyplot().close(figure)
    with Image.open(drawn) as image:
        image.convert("L" if grey else "RGB").save(written, format="png", optimize=True)
    write_whole(path, lambda file: file.write(written.getvalue()))


def example_slices(patients: Sequence[str], wanted: int = 3) -> np.ndarray:
    """Indices into the test set of a few slices, each from the middle of a patient, or evenly spaced within fewer patients.

    ``patients`` has the patient of each test slice; empty words count as one.
    """
    of_patient: dict[str, list[int]] = {}
    for i, patient in enumerate(patients):
        of_patient.setdefault(patient, []).append(i)
    groups = list(of_patient.values())
    picks = Counter(k * len(groups) // wanted for k in range(wanted))
    chosen = [groups[g][(j + 1) * len(groups[g]) // (n + 1)] for g, n in picks.items() for j in range(n)]
    return np.unique(chosen)
