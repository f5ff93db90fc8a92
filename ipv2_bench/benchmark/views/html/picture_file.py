"""The pictures of a page as a file: compressed slices, what they are called, and what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ipv2_bench.files import write_text

Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+=*$")]
Region = Literal["lung", "background"]

GROUPS = {
    "scan": "What was scanned",
    "input": "What the networks are trained on",
    "label": "What they are measured against",
    "output": "What they make of the uLDCT",
}
"""Groups of image sets in the order of the page, with their titles."""

Group = Literal["scan", "input", "label", "output"]


class PicturePart(BaseModel):
    """Base of everything in the file: immutable and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spot(PicturePart):
    """A spot of a slice that an arrow points to: its region, and a part around it that is magnified.

    Attributes
    ----------
    region
        That it is in.
    row, column
        Of the arrow's tip.
    top, left, side
        Upper left corner and side of the part.
    """

    region: Region
    row: int
    column: int
    top: int
    left: int
    side: int


class Picture(PicturePart):
    """An image set's slice: its group and title, the whole slice and the part of each spot as WebP in base64.

    ``mediastinum``: the whole slice in that window, of scans and outputs.
    """

    group: Group
    title: str
    whole: Base64
    parts: tuple[Base64, ...]
    mediastinum: Base64 | None = None


class PictureSlice(PicturePart):
    """One example slice through all image sets.

    Attributes
    ----------
    test_index
        Its index in the test set.
    field_cm
        Side of the image in cm.
    spots
        What arrows point to.
    pictures
        One of each image set, the uLDCT first.
    """

    test_index: int
    field_cm: float
    spots: tuple[Spot, ...]
    pictures: tuple[Picture, ...]


class PictureFile(PicturePart):
    """All pictures of a page.

    Attributes
    ----------
    content
        Hash of what they show (:func:`ipv2_bench.benchmark.views.html.pictures.content_of`).
    size
        Pixels along a side of a slice.
    hu
        Lowest and highest HU of their window.
    quality
        Of the compression.
    seed
        Training seed of the outputs; ``None`` where there is only one.
    shown_first
        Index of the picture that is beside the uLDCT at first.
    slices
        The example slices, at least one.
    hero
        One slice, large, as WebP in base64; ``None`` where the board has none.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    content: str
    size: int
    hu: tuple[float, float]
    quality: int
    seed: int | None
    shown_first: int
    slices: Annotated[tuple[PictureSlice, ...], Field(min_length=1)]
    hero: Base64 | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _same_pictures_in_every_slice(self) -> PictureFile:
        names = [[(picture.group, picture.title) for picture in one.pictures] for one in self.slices]
        if any(other != names[0] for other in names):
            raise ValueError("slices show different image sets: expected the same in every slice")
        if not 0 <= self.shown_first < len(names[0]):
            raise ValueError(f"shown_first is {self.shown_first}: expected an index of the {len(names[0])} pictures")
        if any(len(picture.parts) != len(one.spots) for one in self.slices for picture in one.pictures):
            raise ValueError("a picture has more or fewer parts than its slice has spots: expected one of each")
        return self


def picture_path(folder: Path, page_name: str) -> Path:
    """The file of a page's pictures: ``pictures.json`` for ``index.html``, ``table1.pictures.json`` for ``table1.html``."""
    stem = Path(page_name).stem
    return folder / ("pictures.json" if stem == "index" else f"{stem}.pictures.json")


def write_pictures(path: Path, pictures: PictureFile) -> None:
    """Write a file of pictures, unless it holds the same already."""
    write_text(path, pictures.model_dump_json(by_alias=True, indent=1) + "\n")


def read_pictures(path: Path) -> PictureFile | None:
    """The pictures of a file; ``None`` where there is none, or it is no such file of this schema."""
    try:
        return PictureFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
