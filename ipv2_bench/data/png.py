"""Grey PNG slices of 8 or 16 bit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ipv2_bench.data.findings import Problem
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_whole
from ipv2_bench.physics.intensity import from_8bit, from_16bit, to_8bit, to_16bit

LARGEST_SIDE = 4096


class PngSlice(NamedTuple):
    """A slice [H, W], float32 in [0, 1] of the HU window, and the number of bits that it is stored with, 8 or 16."""

    unit: np.ndarray
    bits: int


class BadPng(Exception):
    """A file cannot be used; ``args`` are those of a :class:`~ipv2_bench.data.findings.Problem`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.problem = Problem(kind, text)


def read_png(path: Path) -> PngSlice:
    """Read a grey slice; palette, alpha and colour pass when every pixel is grey.

    Raises
    ------
    BadPng
        When the file is no complete PNG, too large, or in colour.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG"]) as image:
            if max(image.size) > LARGEST_SIDE:
                raise BadPng("shape", f"is {image.width}×{image.height}: expected {LARGEST_SIDE} at most")
            if image.mode in ("I;16", "I;16B", "I"):
                return PngSlice(from_16bit(np.asarray(image, dtype=np.int64).astype(np.uint16)), 16)
            colour = np.asarray(image.convert("RGB"))
    except BadPng:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        raise BadPng("unreadable", f"cannot be read as PNG ({type(error).__name__}): replace it") from None
    if (colour != colour[..., :1]).any():
        raise BadPng("shape", "is in colour: expected grey pixels; export the CT image itself, without marks")
    return PngSlice(from_8bit(colour[..., 0]), 8)


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


def write_png(path: Path, unit: np.ndarray, bits: int, grey: str = "round") -> None:
    """Write a slice [H, W] in [0, 1] with 8 or 16 bit, whole or not at all; its folder is created. ``grey``: of :data:`GREY`."""
    from PIL import Image

    truncate = grey == "truncate"
    stored = to_8bit(unit, truncate) if bits == 8 else to_16bit(unit, truncate)
    write_whole(path, lambda file: Image.fromarray(stored).save(file, format="png"))
