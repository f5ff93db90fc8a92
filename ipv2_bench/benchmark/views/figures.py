"""Figures as PNG files: panels of slices in the windows of radiology, and matplotlib set up to draw into files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.files import write_whole
from ipv2_bench.physics.intensity import Window

WINDOWS = {"lung": (-1350.0, 150.0), "mediastinum": (-160.0, 240.0)}
"""Level −600 width 1500, and level 40 width 400, as (low, high) in HU."""


def panel(
    columns: Sequence[tuple[str, np.ndarray]], window: Window, path: Path, show: str = "lung", side: float = 1.9
) -> None:
    """Write a PNG with one column per image set.

    Parameters
    ----------
    columns
        Title and images [n, N, N] in [0, 1]; the n slices become rows. All of them have the same n.
    window
        HU of the images.
    path
        Where the picture appears, whole.
    show
        A key of :data:`WINDOWS`.
    side
        Of a slice, in inches of 67 dots.
    """
    plt = pyplot()
    low, high = WINDOWS[show]
    n = len(columns[0][1])
    figure, axes = plt.subplots(n, len(columns), figsize=(side * len(columns), side * n + 0.45), squeeze=False)
    for j, (title, images) in enumerate(columns):
        for i in range(n):
            axes[i][j].imshow(
                window.hu(np.asarray(images[i])), cmap="gray", vmin=low, vmax=high, interpolation="nearest"
            )
            axes[i][j].set_axis_off()
        axes[0][j].set_title(title, fontsize=9)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.4 / (side * n + 0.45), wspace=0.02, hspace=0.02)
    save_figure(figure, path, dpi=67, grey=True)


def pyplot() -> Any:
    """Matplotlib's pyplot, drawing into files."""
    import matplotlib

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


def example_slices(n_test: int, wanted: int = 3) -> np.ndarray:
    """Indices into the test set of a few slices spread over it."""
    return np.unique(np.linspace(0, n_test - 1, wanted + 2).astype(int)[1:-1])
