"""Grey PNG slices of 8 or 16 bit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ipv2_bench.data.findings import Unusable
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_whole
from ipv2_bench.physics.intensity import from_8bit, from_16bit, to_8bit, to_16bit

LARGEST_SIDE = 4096

BIT_DEPTH = 24
"""Place of the byte in a PNG file that holds the bits of each channel; its header is always the first chunk."""


class PngSlice(NamedTuple):
    """A slice [H, W], float32 in [0, 1] of the HU window, and the number of bits that it is stored with, 8 or 16."""

    unit: np.ndarray
    bits: int


def read_png(path: Path) -> PngSlice:
    """Read a grey slice; palette, alpha and colour of 8 bit pass when every pixel is grey.

    Raises
    ------
    Unusable
        When the file is no complete PNG, too large, in colour, of 16 bit with more than one channel, or in HU with an offset.
    """
    from PIL import Image

    try:
        raw = path.read_bytes()
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            if max(image.size) > LARGEST_SIDE:
                raise Unusable("shape", f"is {image.width}×{image.height}: expected {LARGEST_SIDE} at most")
            if image.mode in ("I;16", "I;16B", "I"):
                stored = np.asarray(image, dtype=np.int64)
                _refuse_offset(int(stored.min()), int(stored.max()))
                return PngSlice(from_16bit(stored.astype(np.uint16)), 16)
            if raw[BIT_DEPTH] == 16:
                # Pillow keeps the upper 8 bits of these, without a warning.
                text = "is 16 bit with colour or alpha channels: expected one grey channel; export it as grey without alpha"
                raise Unusable("shape", text)
            colour = np.asarray(image.convert("RGB"))
    except Unusable:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        raise Unusable("unreadable", f"cannot be read as PNG ({type(error).__name__}): replace it") from None
    if (colour != colour[..., :1]).any():
        raise Unusable("shape", "is in colour: expected grey pixels; export the CT image itself, without marks")
    return PngSlice(from_8bit(colour[..., 0]), 8)


OFFSETS = {1024: (0, 6000), 32768: (31000, 40000)}
"""Offsets that turn HU into numbers without a sign, and the range in which the values of a whole slice then lie."""


def _refuse_offset(low: int, high: int) -> None:
    """Refuse a slice of 16 bit whose values are HU with an offset, and no grey levels of a window.

    In a HU window a slice that shows a body has values near both ends of 0 to 65535.

    Raises
    ------
    Unusable
        The offset is named.
    """
    for offset, (first, last) in OFFSETS.items():
        if first <= low < high <= last:
            text = f"values from {low} to {high} look like HU + {offset}; expected grey levels of the HU window, 0 to 65535"
            raise Unusable("HU range", f"{text}; subtract {offset} and save HU as .npy or NIfTI, or map the window to 0 to 65535")


GREY = ("round", "truncate")
"""How a slice in [0, 1] becomes grey levels: to the nearest, or down as by the casts to ``uint8`` of the public scripts."""


def check_grey(grey: str) -> None:
    """Refuse what is none of :data:`GREY`.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    if grey not in GREY:
        raise InputError(f"--grey is '{grey}': use {' or '.join(GREY)}")


def write_png(path: Path, unit: np.ndarray, bits: int, grey: str = "round", step: float = 0.0) -> None:
    """Write a slice as a grey PNG, whole or not at all; its folder is created.

    Parameters
    ----------
    path
        The file.
    unit
        Slice [H, W] in [0, 1]; values outside are clipped.
    bits
        8 or 16.
    grey
        One of :data:`GREY`.
    step
        Steps of [0, 1] that the slice was rounded to before; a value within half a step below a grey level is not truncated to
        the next lower one.
    """
    from PIL import Image

    truncate = grey == "truncate"
    stored = to_8bit(unit, truncate, step) if bits == 8 else to_16bit(unit, truncate, step)
    write_whole(path, lambda file: Image.fromarray(stored).save(file, format="png"))
