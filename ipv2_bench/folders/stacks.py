"""Slices of a folder in their order, and one of them in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipv2_bench.data.dicom.ct_slice import CTSlice, read_slice
from ipv2_bench.data.dicom.pixels import StoredBits, decode_words, padding
from ipv2_bench.data.dicom.reading import open_dicom, read_bytes
from ipv2_bench.data.dicom.series import grouped, positions
from ipv2_bench.data.dicom.tags import numbers, quiet_pydicom, rescale, rescale_findings
from ipv2_bench.data.findings import Findings, LeftOut, Unusable
from ipv2_bench.data.formats.png import read_png
from ipv2_bench.physics.intensity import AIR_HU, Window


@dataclass(frozen=True)
class LoadedSlice:
    """A slice in memory: [H, W] in [0, 1], and what is needed to write it."""

    unit: np.ndarray
    bits: int
    raw: bytes = b""
    words: np.ndarray | None = None
    pixel_mm: float | None = None


@dataclass(frozen=True)
class SliceFile:
    """A file of one slice: its name below the folder, and whether it is DICOM; else it is PNG."""

    name: str
    dicom: bool


def png_stacks(names: Iterable[str]) -> Iterator[list[SliceFile]]:
    """PNG files by their folders."""
    folders: dict[str, list[SliceFile]] = defaultdict(list)
    for name in names:
        folders[name.rpartition("/")[0]].append(SliceFile(name, False))
    yield from folders.values()


def dicom_stacks(
    source: Path, names: Iterable[str], findings: Findings, left_out: LeftOut, in_order: bool
) -> Iterator[list[SliceFile]]:
    """Series, their slices from below; where that is not told, and not needed, as they are called."""
    parts: list[CTSlice] = []
    with quiet_pydicom():
        for name in names:
            part = read_slice(source / name, name, findings, left_out, derived=True, pixels=False)
            if part is not None:
                parts.append(part)
    for _, slices in grouped(parts):
        where, wrong = positions(slices)
        if in_order and wrong:
            for finding in wrong:
                findings.add(*finding)
            continue
        order = range(len(slices)) if where is None else np.argsort(where, kind="stable").tolist()
        yield [SliceFile(slices[i].name, True) for i in order]


def load_slice(path: Path, dicom: bool, window: Window) -> LoadedSlice:
    """A slice in memory.

    Raises
    ------
    Unusable
        When its file cannot be used.
    """
    if not dicom:
        png = read_png(path)
        return LoadedSlice(png.unit, png.bits)
    raw = read_bytes(path)
    try:
        data = open_dicom(raw)
    except Exception as error:  # damaged since its header was read
        raise Unusable(
            "unreadable", f"cannot be read ({type(error).__name__}); expected a complete DICOM file"
        ) from None
    words = decode_words(data)
    stored = StoredBits.of(data, 8 * words.dtype.itemsize).values(words)
    for finding in rescale_findings(data):
        raise Unusable(*finding)
    slope, intercept = rescale(data)
    hu = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(hu).all() or slope == 0:
        raise Unusable("NaN", "NaN or infinite HU after rescale; expected finite HU; check the rescale tags")
    hu[padding(data, stored)] = AIR_HU
    spacing = numbers(data, "PixelSpacing", 2)
    return LoadedSlice(window.unit(hu), 16, raw, words, None if spacing is None else float(spacing[0]))
