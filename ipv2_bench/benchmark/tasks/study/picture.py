"""The picture of the study: distances against the truth, and against the number of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.tasks.study.report import ByNumber, Point
from ipv2_bench.benchmark.views.figures import pyplot, save_figure

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2", "#97bbf5", "#9c6b4e")


def draw_study(
    points: Sequence[Point], by_number: ByNumber, columns: Sequence[str], path: Path
) -> None:
    """Write a PNG: a panel for FID or its offline kin and each label against the true RMSE, and one over 1/N."""
    plt = pyplot()
    shown = [c for c in columns if not c.startswith(("kid", "clip")) and "_inf" not in c]
    denoisers = list(dict.fromkeys(p.denoiser for p in points if p.trained))
    colour = {d: COLOURS[i % len(COLOURS)] for i, d in enumerate(denoisers)}
    figure, axes = plt.subplots(1, len(shown) + 1, figsize=(5.4 * (len(shown) + 1), 4.6), squeeze=False)
    for axis, column in zip(axes[0], shown, strict=False):
        for p in points:
            x, y = p.values["rmse_hu"], p.values[column]
            if p.trained:
                axis.scatter(x, y, s=34, color=colour[p.denoiser], edgecolor="white", linewidth=0.6)
            else:
                axis.scatter(x, y, s=48, marker="X", color="black")
                axis.annotate(p.name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
        axis.set_yscale("symlog", linthresh=0.1)
        axis.set_xlabel("RMSE to the aligned truth, HU")
        axis.set_ylabel(column)
        axis.grid(alpha=0.25)
    for d in denoisers:
        axes[0][0].scatter([], [], color=colour[d], label=d)
    axes[0][0].legend(fontsize=8, frameon=False)
    last = axes[0][-1]
    first = by_number[0]["extractor"] if by_number else ""
    for name in dict.fromkeys(line["images"] for line in by_number if line["extractor"] == first):
        own = [line for line in by_number if line["images"] == name and line["extractor"] == first]
        inverse = [0.0 if np.isinf(float(line["n"])) else 1.0 / float(line["n"]) for line in own]
        last.plot(inverse, [float(line["frechet"]) for line in own], ".-", lw=0.9, alpha=0.8,
                  color=colour.get(str(name).split(" + ")[0], "grey"))  # fmt: skip
    last.set_xlabel("1 / number of images (0: extrapolated)")
    last.set_ylabel(f"Fréchet distance to the NDCT ({first})")
    last.grid(alpha=0.25)
    figure.tight_layout()
    save_figure(figure, path, dpi=90)
