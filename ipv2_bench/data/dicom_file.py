"""One DICOM file as a CT slice in HU."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ipv2_bench.data.decoded import DecodedCache
from ipv2_bench.data.dicom_pixels import Unusable, decode_hu
from ipv2_bench.data.dicom_tags import TAGS, geometry_findings, hashed, numbers, rescale_findings, why_left_out
from ipv2_bench.data.findings import Findings

LARGEST_FILE = 128 * 2**20
"""Bytes of a file, and of what a deflated one holds."""


@dataclass(frozen=True)
class CTSlice:
    """One CT slice, for local use: its name may tell a patient.

    Attributes
    ----------
    name
        File, relative to the data's root.
    uid, patient_id, study
        Of its series as the file has it, and hashes of number and study that only tell equal from different.
    hu
        int16 (where slope and intercept are whole numbers) or float32 [H, W], at least −1024; padding is −1000.
    spacing
        Side of a pixel in mm; 0 where only the tags were looked at and do not tell.
    corner, axes, location
        Position of the first pixel [3] in mm, directions of rows and columns [6], SliceLocation [1]; or ``None``.
    """

    name: str
    uid: str
    patient_id: str
    study: str
    hu: np.ndarray
    spacing: float
    corner: np.ndarray | None
    axes: np.ndarray | None
    location: np.ndarray | None


def read_slice(
    path: Path,
    name: str,
    findings: Findings,
    left_out: Counter[str],
    cache: DecodedCache | None = None,
    derived: bool = False,
    pixels: bool = True,
) -> CTSlice | None:
    """Read one file.

    Parameters
    ----------
    path, name
        Where it lies, and how it is called in findings.
    findings, left_out
        Take what is wrong with it, or why it is no slice of a scan.
    cache
        Keeps decoded pixels.
    derived
        Whether derived images count as slices too.
    pixels
        Decode them; otherwise ``hu`` is empty, and of the tags only the HU scale must be usable.

    Returns
    -------
    CTSlice or None
        ``None`` when there is a finding, or it is left out.
    """
    try:
        raw = read_bytes(path)
        data = dcmread(io.BytesIO(raw), specific_tags=TAGS, stop_before_pixels=not pixels)
        reason = why_left_out(data, derived)
    except Unusable as unusable:
        findings.add(name, *unusable.args)
        return None
    except Exception as error:  # any type on damaged files; its text may quote tag values, so only the type
        kind = type(error).__name__
        findings.add(
            name, "unreadable", f"cannot be read ({kind}); expected a complete DICOM file; copy it anew or remove it"
        )
        return None
    if reason is not None:
        left_out[reason] += 1
        return None
    found = [*rescale_findings(data), *(geometry_findings(data) if pixels else ())]
    hu = None if pixels else np.zeros((0, 0), np.int16)
    try:
        if pixels:
            hu = cache.get(raw, lambda: decode_hu(data)) if cache else decode_hu(data)
    except Unusable as unusable:
        found.append((unusable.args[0], unusable.args[1]))
    for one in dict.fromkeys(found):
        findings.add(name, *one)
    spacing = numbers(data, "PixelSpacing", 2)
    if found or hu is None:
        return None
    return CTSlice(
        name,
        str(data.get("SeriesInstanceUID") or ""),
        hashed(data, "PatientID"),
        hashed(data, "StudyInstanceUID"),
        hu,
        float(spacing[0]) if spacing is not None else 0.0,
        numbers(data, "ImagePositionPatient", 3),
        numbers(data, "ImageOrientationPatient", 6),
        numbers(data, "SliceLocation", 1),
    )


def read_bytes(path: Path) -> bytes:
    """A file's bytes, unless they are, or inflate to, more than any CT slice has.

    Raises
    ------
    Unusable
        When they are too many.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise Unusable("unreadable", f"a file of {size / 2**20:.0f} MB; expected a slice; remove the file")
    raw = path.read_bytes()
    try:
        meta = read_file_meta_info(path)
    except Exception:  # the reader will say what it is
        return raw
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        start = 132 + 12 + int(meta.get("FileMetaInformationGroupLength", 0))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        inflate.decompress(raw[start:], LARGEST_FILE)
        if inflate.unconsumed_tail:
            raise Unusable("unreadable", "inflates to more than any slice has; expected a CT slice; remove the file")
    return raw
