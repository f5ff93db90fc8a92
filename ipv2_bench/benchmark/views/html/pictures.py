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
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    from ipv2_bench.benchmark.cells.benchmark import Benchmark
    from ipv2_bench.benchmark.rows.make import TableRows

MOST_BYTES = 5_500_000
"""Of all images in base64: the page must stay below 8 MB."""

SIZES = ((3, 85), (2, 85), (1, 85), (1, 60), (1, 30))
"""Numbers of slices and WebP qualities, from what is wanted to what fits however large slices are."""

SHOWN = WINDOWS["lung"]
"""Lowest and highest HU of the pictures."""


def draw_pictures(benchmark: Benchmark, rows: TableRows) -> PictureFile:
    """The pictures of complete cells.

    Parameters
    ----------
    benchmark
        With complete cells; the first seed's images are shown.
    rows
        Of its tables, by the table's key: they name what the pictures show.
    """
    prepared, seeds = benchmark.prepared, benchmark.config.seeds
    chosen = example_slices(len(prepared.split.test))
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
        shown_first=_shown_first(sets, [key for table in benchmark.tables for key in table.newcomers]),
        slices=slices,
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
        if sum(len(p.whole) + sum(map(len, p.parts)) for s in slices for p in s.pictures) <= MOST_BYTES:
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
        pictures.append(Picture(group=shown.group, title=shown.title, whole=whole, parts=tuple(encoded)))
    field_cm = sets[0].images.shape[-1] * pixel_mm / 10.0
    return PictureSlice(test_index=test_index, field_cm=field_cm, spots=spots, pictures=tuple(pictures))


def webp(image: np.ndarray, window: Window, quality: int) -> str:
    """A slice [H, W] in [0, 1] of ``window`` as WebP in the lung window, pixel for pixel, in base64."""
    from PIL import Image

    low, high = SHOWN
    grey = to_8bit((window.hu(np.asarray(image, dtype=np.float64)) - low) / (high - low))
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="WEBP", quality=quality, method=4)
    return base64.b64encode(out.getvalue()).decode()


def _shown_first(sets: Sequence[ShownSet], newcomers: Sequence[str]) -> int:
    """Index of the output beside the uLDCT at first: a newcomer's, else one of IPv2, else the last output."""
    outputs = [i for i, shown in enumerate(sets) if shown.group == "output"]
    new = [i for i in outputs if sets[i].denoiser in newcomers]
    whole = [i for i in outputs if sets[i].strategy == Strategy.from_name("IPv2")]
    return (new or whole or outputs[-1:] or [len(sets) - 1])[0]
