"""Slices as images inside of the page, with magnified parts, and arrows that scale with them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ipv2_bench.benchmark.figures import WINDOWS
from ipv2_bench.benchmark.report.image_sets import GROUPS, Shown
from ipv2_bench.benchmark.report.spots import Spot
from ipv2_bench.physics.intensity import Window, to_8bit

MOST_BYTES = 5_500_000
"""Of all images as they stand in the page: it must stay below 8 MB."""

SIZES = ((3, 85), (2, 85), (1, 85), (1, 60), (1, 30))
"""Numbers of slices and WebP qualities, from what is wanted to what fits however large slices are."""

VIEW = "lung"


@dataclass(frozen=True)
class Picture:
    """An image set's slice, as it is shown: whole, and its magnified parts by name; all of them data URIs."""

    shown: Shown
    whole: str
    parts: dict[str, str]


@dataclass(frozen=True)
class Slice:
    """One example slice through all image sets.

    Attributes
    ----------
    place
        Of the slice in the test set.
    field_cm
        Side of the image in cm.
    spots
        Where arrows point.
    pictures
        One for each image set.
    """

    place: int
    field_cm: float
    spots: list[Spot]
    pictures: list[Picture]


def data_uri(image: np.ndarray, window: Window, quality: int) -> str:
    """A slice [H, W] in [0, 1] of ``window`` as WebP in the lung window, pixel for pixel."""
    from PIL import Image

    low, high = WINDOWS[VIEW]
    grey = to_8bit((window.hu(np.asarray(image, dtype=np.float64)) - low) / (high - low))
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


def encode(
    sets: Sequence[Shown], places: Sequence[int], pixel_mm: Sequence[float], spots: Sequence[list[Spot]], window: Window
) -> tuple[list[Slice], int]:
    """As many of the slices as fit into the page, through all image sets; and the WebP quality that they have.

    Parameters
    ----------
    sets
        The image sets, k slices each.
    places, pixel_mm, spots
        Of each of the k slices: its place in the test set, the side of its pixels in mm, and where arrows point.
    window
        HU of the images.
    """
    for most, quality in SIZES:
        # Slices from the middle of the list first: the first one of a patient often shows little lung.
        kept = sorted(sorted(range(len(places)), key=lambda i: abs(2 * i - len(places) + 1))[:most])
        made = [_slice(sets, i, places[i], pixel_mm[i], spots[i], window, quality) for i in kept]
        size = sum(len(p.whole) + sum(map(len, p.parts.values())) for s in made for p in s.pictures)
        if size <= MOST_BYTES:
            break
    return made, quality


def _slice(
    sets: Sequence[Shown], i: int, place: int, pixel_mm: float, spots: list[Spot], window: Window, quality: int
) -> Slice:
    pictures = []
    for shown in sets:
        image = shown.images[i]
        parts = {s.name: image[s.top : s.top + s.side, s.left : s.left + s.side] for s in spots}
        uris = {name: data_uri(part, window, quality) for name, part in parts.items()}
        pictures.append(Picture(shown, data_uri(image, window, quality), uris))
    return Slice(place, sets[0].images.shape[-1] * pixel_mm / 10.0, spots, pictures)


def gallery(slices: Sequence[Slice]) -> str:
    """All slices, one below the other; those behind the first are folded."""
    out = []
    for number, one in enumerate(slices, 1):
        inside = "".join(_group(one, group, number, len(slices)) for group in GROUPS)
        head = f"Slice {number} of {len(slices)} (test slice {one.place + 1}, {one.field_cm:.0f} cm wide)"
        out.append(f"<details{' open' * (number == 1)}><summary>{head}</summary>{inside}</details>")
    return "".join(out)


def _group(one: Slice, group: str, number: int, of: int) -> str:
    own = [(k, p) for k, p in enumerate(one.pictures) if p.shown.group == group]
    if not own:
        return ""
    cards = "".join(_card(p, one.spots, f"s{number}i{k}", number, of) for k, p in own)
    return f'<h3>{GROUPS[group]}<span class="unseen">, slice {number}</span></h3><div class="gallery">{cards}</div>'


def _card(picture: Picture, spots: Sequence[Spot], key: str, number: int, of: int) -> str:
    title = escape(picture.shown.title)
    n = picture.shown.images.shape[-1]
    whole = (
        f'<img id="{key}" src="{picture.whole}" width="{n}" height="{n}" data-title="{title}" data-slice="{number}" '
        f'data-group="{picture.shown.group}" alt="{title}, slice {number} of {of}">'
    )
    marks = "".join(_box(s) + _arrow(s, s.column, s.row, n / 150) for s in spots)
    out = f'<div class="picture">{whole}{_overlay(n, marks)}</div>'
    for s in spots:
        alt = f"{title}, slice {number}: part of the {s.name}, magnified"
        image = f'<img src="{picture.parts[s.name]}" width="{s.side}" height="{s.side}" alt="{alt}">'
        mark = _arrow(s, s.column - s.left, s.row - s.top, s.side / 80)
        out += f'<div class="picture part">{image}{_overlay(s.side, mark)}</div>'
    return f'<figure><div class="views">{out}</div><figcaption>{title}</figcaption></figure>'


def _overlay(n: int, marks: str) -> str:
    return f'<svg viewBox="0 0 {n} {n}" aria-hidden="true">{marks}</svg>'


def _box(spot: Spot) -> str:
    return f'<rect class="{spot.name}" x="{spot.left}" y="{spot.top}" width="{spot.side}" height="{spot.side}"/>'


def _arrow(spot: Spot, x: float, y: float, unit: float) -> str:
    """An arrow of 15 units that ends beside (x, y): from the upper left in the lung, from the lower left in the air."""
    turn = 45 if spot.name == "lung" else -45
    shape = "M-2.5 0L-7 -3.2V-1.2H-15V1.2H-7V3.2Z"
    place = f"translate({x + 0.5:g} {y + 0.5:g}) rotate({turn}) scale({unit:.3g})"
    return f'<path class="{spot.name}" transform="{place}" d="{shape}"/>'
