"""Slices as pictures of the page: drawn from complete cells, or those of a page that has been written."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench.benchmark.views.figures import WINDOWS, example_slices
from ipv2_bench.benchmark.views.html.image_sets import ShownSet, image_sets
from ipv2_bench.benchmark.views.html.picture_file import (
    Picture,
    PictureFile,
    PictureSlice,
    Spot,
    picture_path,
    read_pictures,
)
from ipv2_bench.benchmark.views.html.spots import find_spots
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.intensity import Window, to_8bit

if TYPE_CHECKING:
    from PIL import Image

    from ipv2_bench.benchmark.cells.benchmark import Benchmark
    from ipv2_bench.benchmark.rows.make import TableRows

MOST_BYTES = 5_500_000
"""Of all images in base64: the page must stay below 8 MB."""

SIZES = ((3, 85), (2, 85), (1, 85), (1, 60), (1, 30))
"""Numbers of slices and WebP qualities, from what is wanted to what fits however large slices are."""

SHOWN = WINDOWS["lung"]
"""Lowest and highest HU of the pictures."""

WINDOWED = ("scan", "output")
"""Groups of image sets that the slider also shows in the window of the mediastinum."""


def draw_pictures(benchmark: Benchmark, rows: TableRows, hero: Path | None = None) -> PictureFile:
    """The pictures of complete cells.

    Parameters
    ----------
    benchmark
        With complete cells; the first seed's images are shown.
    rows
        Of its tables, by the table's key: they name what the pictures show.
    hero
        PNG of one slice, large; ``None`` for none.
    """
    prepared, seeds = benchmark.prepared, benchmark.config.seeds
    chosen = example_slices([prepared.slices.patient[i] for i in prepared.split.test])
    test = prepared.split.test[chosen]
    clean = prepared.slices.normal if prepared.slices.truth is None else prepared.slices.truth
    spots = [find_spots(prepared.slices.low[i], clean[i], prepared.window) for i in test]
    sets = image_sets(benchmark, chosen)
    slices, quality = encode(sets, chosen.tolist(), prepared.slices.pixel_mm[test].tolist(), spots, prepared.window)
    return PictureFile(
        content=content_of(rows),
        size=prepared.slices.size,
        hu=SHOWN,
        quality=quality,
        seed=seeds[0] if len(seeds) > 1 else None,
        shown_first=_shown_first(sets, _wanted(benchmark, rows)),
        slices=slices,
        hero=None if hero is None or not hero.is_file() else _webp_of(hero),
    )


def kept_pictures(folder: Path, page_name: str, rows: TableRows) -> PictureFile | None:
    """The pictures of a page that has been written, when they show the images of these rows; else ``None``."""
    pictures = read_pictures(picture_path(folder, page_name))
    return pictures if pictures is not None and pictures.content == content_of(rows) else None


def content_of(rows: TableRows) -> str:
    """Hash of what pictures show: data, split, and the images and references of each line's first seed."""
    firsts = [row for lines in rows.values() for line in lines for row in line[:1]]
    shown = sorted({name for row in firsts for name in (row.images, row.reference)})
    data = firsts[0].provenance
    return digest([data.data_manifest, data.split.model_dump(mode="json"), shown])


def encode(
    sets: Sequence[ShownSet],
    chosen: Sequence[int],
    pixel_mm: Sequence[float],
    spots: Sequence[tuple[Spot, ...]],
    window: Window,
) -> tuple[tuple[PictureSlice, ...], int]:
    """As many of the slices as fit into the page, through all image sets; and the WebP quality that they have.

    Parameters
    ----------
    sets
        The image sets, k slices each.
    chosen, pixel_mm, spots
        Of each of the k slices: its index in the test set, the side of its pixels in mm, and what arrows point to.
    window
        HU of the images.
    """
    for most, quality in SIZES:
        # Slices from the middle of the list first: the first one of a patient often shows little lung.
        kept = sorted(sorted(range(len(chosen)), key=lambda i: abs(2 * i - len(chosen) + 1))[:most])
        slices = tuple(_slice(sets, i, chosen[i], pixel_mm[i], spots[i], window, quality) for i in kept)
        if sum(len(x) for s in slices for p in s.pictures for x in (p.whole, p.mediastinum or "", *p.parts)) <= MOST_BYTES:
            break
    return slices, quality


def _slice(
    sets: Sequence[ShownSet],
    i: int,
    test_index: int,
    pixel_mm: float,
    spots: tuple[Spot, ...],
    window: Window,
    quality: int,
) -> PictureSlice:
    pictures = []
    for shown in sets:
        image = shown.images[i]
        parts = [image[s.top : s.top + s.side, s.left : s.left + s.side] for s in spots]
        whole, *encoded = (webp(x, window, quality) for x in (image, *parts))
        soft = webp(image, window, quality, "mediastinum") if shown.group in WINDOWED else None
        picture = Picture(group=shown.group, title=shown.title, whole=whole, parts=tuple(encoded), mediastinum=soft)
        pictures.append(picture)
    field_cm = sets[0].images.shape[-1] * pixel_mm / 10.0
    return PictureSlice(test_index=test_index, field_cm=field_cm, spots=spots, pictures=tuple(pictures))


def webp(image: np.ndarray, window: Window, quality: int, show: str = "lung") -> str:
    """A slice [H, W] in [0, 1] of ``window`` as WebP in a window of radiology, pixel for pixel, in base64."""
    from PIL import Image

    low, high = WINDOWS[show]
    grey = to_8bit((window.hu(np.asarray(image, dtype=np.float64)) - low) / (high - low))
    return _encoded(Image.fromarray(grey), quality)


def _webp_of(path: Path) -> str:
    """A picture as WebP in base64."""
    from PIL import Image

    with Image.open(path) as image:
        return _encoded(image, SIZES[0][1])


def _encoded(image: Image.Image, quality: int) -> str:
    out = io.BytesIO()
    image.save(out, format="WEBP", quality=quality, method=4)
    return base64.b64encode(out.getvalue()).decode()


def _wanted(benchmark: Benchmark, rows: TableRows) -> list[str]:
    """Titles of the outputs that are to be seen first: newcomers, else the best line."""
    from ipv2_bench.benchmark.views.one_slice import best_line  # a page of rows alone does without cells
    from ipv2_bench.benchmark.views.panels import image_title

    lines = [line for table in benchmark.tables for line in table.lines if line.denoiser in table.newcomers]
    if not lines and (best := best_line(benchmark, rows)) is not None:
        lines = [best]
    return [image_title(benchmark, line, benchmark.config.seeds[0]) for line in lines]


def _shown_first(sets: Sequence[ShownSet], wanted: Sequence[str]) -> int:
    """Index of the output beside the uLDCT at first: one that is wanted, else the last output."""
    outputs = [i for i, shown in enumerate(sets) if shown.group == "output"]
    found = [i for i in outputs if sets[i].title in wanted]
    return (found or outputs[-1:] or [len(sets) - 1])[0]
