"""The section of pictures: two images over each other with a slider between them, and a gallery of all image sets."""

from __future__ import annotations

from dataclasses import dataclass

from ipv2_bench.benchmark.views.html.charts.scale import minus
from ipv2_bench.benchmark.views.html.picture_file import GROUPS, Group, Picture, PictureFile, PictureSlice, Spot


@dataclass(frozen=True)
class Card:
    """A picture with its index among those of its slice."""

    index: int
    picture: Picture


@dataclass(frozen=True)
class CardGroup:
    """Pictures of one group, and its title."""

    group: Group
    title: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class GallerySlice:
    """One example slice: its number from 1, its number in the test set from 1, width in cm, spots and pictures."""

    number: int
    test_number: int
    width_cm: str
    spots: tuple[Spot, ...]
    groups: tuple[CardGroup, ...]


@dataclass(frozen=True)
class PicturesSection:
    """The section.

    Attributes
    ----------
    window, quality, seed, size
        HU of the pictures in words, quality of the compression, training seed of the outputs where there are several, and
        pixels along a side.
    left, right
        What the slider shows at first.
    slices
        The gallery.
    hero
        One slice, large, as WebP in base64; ``None`` where there is none.
    has_mediastinum
        Whether the slider has the window of the mediastinum, too.
    """

    window: str
    quality: int
    seed: int | None
    size: int
    left: Card
    right: Card
    slices: tuple[GallerySlice, ...]
    hero: str | None = None
    has_mediastinum: bool = False


def pictures_section(file: PictureFile) -> PicturesSection:
    """The section of a page's pictures."""
    first = file.slices[0].pictures
    return PicturesSection(
        window=minus(f"{file.hu[0]:.0f} to {file.hu[1]:.0f} HU"),
        quality=file.quality,
        seed=file.seed,
        size=file.size,
        left=Card(0, first[0]),
        right=Card(file.shown_first, first[file.shown_first]),
        slices=tuple(_gallery_slice(number, one) for number, one in enumerate(file.slices, 1)),
        hero=file.hero,
        has_mediastinum=first[0].mediastinum is not None,
    )


def _gallery_slice(number: int, one: PictureSlice) -> GallerySlice:
    cards = [Card(index, picture) for index, picture in enumerate(one.pictures)]
    groups = [CardGroup(g, t, tuple(c for c in cards if c.picture.group == g)) for g, t in GROUPS.items()]  # type: ignore[arg-type]
    shown = tuple(group for group in groups if group.cards)
    return GallerySlice(number, one.test_index + 1, f"{one.field_cm:.0f}", one.spots, shown)
