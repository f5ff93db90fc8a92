"""The picture of the study: distances against the truth, and against the number of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.tasks.study.report import ByNumber, Point
from ipv2_bench.benchmark.views.figures import pyplot, save_figure
from ipv2_bench.metrics.base import FeatureSpace
from ipv2_bench.metrics.catalogue import Catalogue

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2", "#97bbf5", "#9c6b4e", "#ff8ab7", "#3ca951", "#9498a0")
"""Of the denoisers; the same again for more."""

ACROSS = 3
"""Panels side by side."""

LINEAR_BELOW = 0.1
"""Distances are drawn on a logarithmic axis above this, so that 0 has a place."""


def draw_study(
    catalogue: Catalogue, points: Sequence[Point], by_number: ByNumber, columns: Sequence[str], path: Path
) -> None:
    """Write a PNG: a panel for each Fréchet distance and label against the true RMSE, and one over the number of images.

    Parameters
    ----------
    catalogue
        The measures, whose headings name the axes.
    points, by_number
        What the study found.
    columns
        Distances of the points, such as ``fid to NDCT``.
    path
        PNG file.
    """
    spaces = {key: m for key, m in catalogue.measures.items() if isinstance(m, FeatureSpace)}
    frechet = {space.frechet for space in spaces.values()}
    shown = [c for c in columns if c.partition(" to ")[0] in frechet]
    denoisers = list(dict.fromkeys(p.denoiser for p in points if p.trained))
    colours = {d: COLOURS[i % len(COLOURS)] for i, d in enumerate(denoisers)}
    first = by_number[0]["extractor"] if by_number else None
    panels = len(shown) + (first is not None)
    across, down = min(panels, ACROSS), -(-panels // ACROSS)
    figure, grid = pyplot().subplots(down, across, figsize=(5.4 * across, 4.6 * down), squeeze=False)
    axes = grid.ravel()
    for axis in axes[panels:]:
        axis.set_visible(False)
    for axis, column in zip(axes, shown, strict=False):
        name, _, label = column.partition(" to ")
        _against_error(axis, points, column, colours)
        axis.set_xlabel(f"{catalogue.columns['rmse_hu'].heading} to the aligned truth")
        axis.set_ylabel(f"{catalogue.columns[name].heading} to {label}")
    for d, colour in colours.items():
        axes[0].scatter([], [], color=colour, label=d)
    axes[0].scatter([], [], marker="X", color="black", label="nothing trained")
    axes[0].legend(fontsize=8, frameon=False)
    if first is not None:
        _by_number(axes[panels - 1], [line for line in by_number if line["extractor"] == first], colours)
        axes[panels - 1].set_ylabel(f"{catalogue.columns[spaces[first].frechet].heading} to NDCT")
    figure.tight_layout()
    save_figure(figure, path, dpi=90)


def _of_distances(axis: Any) -> None:
    """Give an axis the scale of distances, which may be 0 and differ by decades."""
    from matplotlib.ticker import FuncFormatter

    axis.set_yscale("symlog", linthresh=LINEAR_BELOW, subs=(2, 5))
    for set_formatter in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):  # a panel may span less than a decade
        set_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axis.grid(alpha=0.25)


def _against_error(axis: Any, points: Sequence[Point], column: str, colours: dict[str | None, str]) -> None:
    for p in points:
        filled = {"s": 34, "color": colours.get(p.denoiser), "edgecolor": "white", "linewidth": 0.6}
        style: dict[str, Any] = filled if p.trained else {"s": 48, "marker": "X", "color": "black"}
        axis.scatter(p.values["rmse_hu"], p.values[column], **style)
    _of_distances(axis)
    most = max(p.values["rmse_hu"] for p in points)
    named: list[np.ndarray] = []
    for p in (p for p in points if not p.trained):
        x, y = p.values["rmse_hu"], p.values[column]
        at = axis.transData.transform((x, y))
        crowded = any(abs(at - other)[0] < 80 and abs(at - other)[1] < 12 for other in named)
        named.append(at)
        side, aside = ("right", -7) if x > 0.75 * most else ("left", 7)  # on the right there may be no room
        below = -11 if crowded else 4
        axis.annotate(p.name, (x, y), xytext=(aside, below), textcoords="offset points", fontsize=8, ha=side)


def _by_number(axis: Any, lines: ByNumber, colours: dict[str | None, str]) -> None:
    for name in dict.fromkeys(line["images"] for line in lines):
        own = [line for line in lines if line["images"] == name]
        inverse = [0.0 if np.isinf(float(line["n"])) else 1.0 / float(line["n"]) for line in own]
        colour = colours.get(str(name).split(" + ")[0], "grey")
        axis.plot(inverse, [float(line["frechet"]) for line in own], ".-", lw=0.9, alpha=0.8, color=colour)
    axis.set_xlabel("1 / number of images (0: extrapolated to infinitely many)")
    _of_distances(axis)
