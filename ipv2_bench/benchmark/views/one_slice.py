"""What a visitor sees first: one test slice, large, with a part of its lung and the difference to the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.rows.make import TableRows
from ipv2_bench.benchmark.tables import TableLine
from ipv2_bench.benchmark.views.figures import DPI, GAP, WINDOWS, pyplot, save_figure
from ipv2_bench.benchmark.views.panels import drawn_before, image_title, note_drawn, option_notes
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.intensity import Window

LARGE = 288
"""Pixels that the slice has along a side, at least."""

DIFFERENCE_HU = 300.0
"""Difference to the truth that is shown black or white; grey is none."""

VERSION = 1
"""Version of the drawing: raise when the same images are drawn otherwise."""


def draw_one_slice(benchmark: Benchmark, rows: TableRows, path: Path) -> None:
    """Draw one test slice, large, unless the same has been drawn: uLDCT, the best denoised one, and the truth or the NDCT.

    Below each stand a part of the lung, magnified, and the difference to the truth, where that is known. The slice is one that
    shows lung and is as hard as others: see :func:`typical_slice`.

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
    line = best_line(benchmark, rows)
    if line is None:
        return
    images = benchmark.images(line, seed)
    test = prepared.split.test
    known = prepared.slices.truth is not None
    target = prepared.slices.truth if prepared.slices.truth is not None else prepared.slices.normal
    targets = np.asarray(target[test])
    first = next(line for table in benchmark.tables for line in table.lines if line.denoiser)
    place = typical_slice(benchmark.images(first, seed).images, targets, prepared.window)
    title = image_title(benchmark, line, seed)
    shown = {
        "uLDCT": np.asarray(prepared.slices.low[test[place]]),
        title: np.asarray(images.images[place]),
        "aligned truth" if known else "NDCT (another breath)": targets[place],
    }
    mark = digest([images.set_id, *shown, place, prepared.slices.manifest, VERSION])
    if drawn_before(benchmark.config.work, path, mark):
        return
    hu = {name: prepared.window.hu(image.astype(np.float64)) for name, image in shown.items()}
    draw_slices(hu, prepared.window, known, option_notes([line.strategy]), path)
    note_drawn(benchmark.config.work, path, mark)


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


def best_line(benchmark: Benchmark, rows: TableRows) -> TableLine | None:
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


def richest_part(truth: np.ndarray, lung: np.ndarray, side: int) -> tuple[int, int]:
    """Upper left corner of the square with the most structure in the lung, for squares that are half lung where there are any.

    Parameters
    ----------
    truth
        [N, N] in HU.
    lung
        Its lung, boolean [N, N].
    side
        Of the square in pixels, at most N.
    """
    from scipy import ndimage

    n = len(truth)
    fine = np.where(lung, np.abs(truth - ndimage.gaussian_filter(truth, n / 64)), 0.0)
    share, energy = (ndimage.uniform_filter(x, side, mode="constant") for x in (lung.astype(float), fine))
    half = side // 2
    inside = np.zeros_like(lung)
    inside[half : n - half or n, half : n - half or n] = True
    wanted = inside & (share >= min(0.5, share[inside].max()))
    row, column = np.unravel_index(int(np.argmax(np.where(wanted, energy, -1.0))), truth.shape)
    return min(max(int(row) - half, 0), n - side), min(max(int(column) - half, 0), n - side)


def _caption(image: np.ndarray, truth: np.ndarray, lung: np.ndarray) -> str:
    """Error of a slice to the truth, and its noise in the lung, in words."""
    error = image - truth
    noise = f", noise of the lung {error[lung].std():.0f} HU" if lung.sum() > 1 else ""
    return f"RMSE {np.sqrt(np.mean(error**2)):.0f} HU{noise}"


def draw_slices(hu: dict[str, np.ndarray], window: Window, known: bool, notes: list[str], path: Path) -> None:
    """Draw slices beside each other, a part of the lung and the difference to the truth below each.

    Parameters
    ----------
    hu
        Slices [N, N] in HU by their titles; the last is the truth, or the NDCT.
    window
        HU of the benchmark's images.
    known
        Whether the last one is the truth.
    notes
        Sentences below.
    path
        PNG file.
    """
    from ipv2_bench.metrics.anatomy import regions

    *_, target = hu.values()
    lung = regions(window.unit(target), window)["lung"]
    n = len(target)
    times = -(-LARGE // n)
    wide, half = n * times, (n * times - GAP) // 2
    side = max(n // 4, 8)
    top, left = richest_part(target, lung, side)
    low, high = WINDOWS["lung"]
    letter = max(11.0, wide / 30)  # height in pixels
    line, step = round(1.35 * letter), wide + GAP
    head = 2 * line + GAP
    width = len(hu) * step - GAP
    difference_words = f", and the difference to the truth (grey is none, white +{DIFFERENCE_HU:.0f} HU)" if known else ""
    texts = [f"Below: a part of the lung, magnified{difference_words}.", *notes]
    height = head + wide + GAP + half + GAP + len(texts) * line
    figure = pyplot().figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    words = {"fontsize": letter * 72 / DPI, "va": "bottom"}

    def place(image: np.ndarray, x: int, y: int, ends: tuple[float, float]) -> None:
        """An image with its upper left corner at (x, y) from the upper left of the figure."""
        figure.figimage(image, x, height - y - len(image), cmap="gray", vmin=ends[0], vmax=ends[1], origin="upper")

    for k, (title, image) in enumerate(hu.items()):
        x, is_target = k * step, image is target
        name = title if not known else f"{title}\n{'' if is_target else _caption(image, target, lung)}"
        figure.text((x + wide / 2) / width, 1 - (head - GAP) / height, name, ha="center", **words)
        place(image.repeat(times, 0).repeat(times, 1), x, head, (low, high))
        part = image[top : top + side, left : left + side]
        place(_resized(part, half), x, head + wide + GAP, (low, high))
        if known and not is_target:
            difference = _resized(image - target, half)
            place(difference, x + half + GAP, head + wide + GAP, (-DIFFERENCE_HU, DIFFERENCE_HU))
    for k, text in enumerate(reversed(texts)):
        figure.text(0, (k * line + GAP) / height, text, ha="left", **words)
    save_figure(figure, path, dpi=DPI, grey=True)


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    """A square image at [side, side]: nearest pixels where it grows, averaged where it shrinks."""
    from PIL import Image

    how = Image.Resampling.BOX if len(image) > side else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image.astype(np.float32)).resize((side, side), how))
