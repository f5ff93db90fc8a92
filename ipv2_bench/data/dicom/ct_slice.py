"""A CT slice in Hounsfield units (HU), read from one DICOM file."""

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

from ipv2_bench.data.dicom.decoded import DecodedCache
from ipv2_bench.data.dicom.pixels import decode_hu
from ipv2_bench.data.dicom.tags import TAGS, geometry_findings, hashed, numbers, rescale_findings, why_left_out
from ipv2_bench.data.findings import Findings, Unusable

LARGEST_FILE = 128 * 2**20
"""Most bytes that a file may have, and that a deflated file may inflate to."""


@dataclass(frozen=True)
class CTSlice:
    """One CT slice, for local use only: its file name may identify a patient.

    Attributes
    ----------
    name
        File, relative to the data's root.
    uid
        SeriesInstanceUID, as it stands in the file.
    patient_id, study
        Salted hashes of PatientID and StudyInstanceUID, which are equal for equal values of one run.
    hu
        int16 (where slope and intercept are whole numbers) or float32 [H, W], at least −1024; padding is −1000.
    spacing
        Side of a pixel in mm; 0 where only the tags were read and do not hold it.
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
    """Read the CT slice of one DICOM file.

    Parameters
    ----------
    path, name
        The file, and its name in findings.
    findings
        Receives the problems of the file.
    left_out
        Counts the files that are no slices of a scan, by reason.
    cache
        Cache of decoded pixels.
    derived
        Whether derived images count as slices too.
    pixels
        Whether to decode the pixels; otherwise ``hu`` is empty, and of the tags only the HU scale must be usable.

    Returns
    -------
    CTSlice or None
        ``None`` when the file has a problem or is left out.
    """
    try:
        raw = read_bytes(path)
        data = dcmread(io.BytesIO(raw), specific_tags=TAGS, stop_before_pixels=not pixels)
        reason = why_left_out(data, derived)
    except Unusable as unusable:
        findings.add(name, *unusable.problem)
        return None
    except Exception as error:  # any type on damaged files; its text may quote tag values, so only the type
        text = f"cannot be read ({type(error).__name__}); expected a complete DICOM file; copy it again or remove it"
        findings.add(name, "unreadable", text)
        return None
    if reason is not None:
        left_out[reason] += 1
        return None
    problems = [*rescale_findings(data), *(geometry_findings(data) if pixels else ())]
    hu = None if pixels else np.zeros((0, 0), np.int16)
    try:
        if pixels:
            hu = cache.get(raw, lambda: decode_hu(data)) if cache else decode_hu(data)
    except Unusable as unusable:
        problems.append(unusable.problem)
    for problem in dict.fromkeys(problems):
        findings.add(name, *problem)
    spacing = numbers(data, "PixelSpacing", 2)
    if problems or hu is None:
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
    """The bytes of a file.

    Raises
    ------
    Unusable
        When there are more than :data:`LARGEST_FILE`, or a deflated file would inflate to more.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise Unusable("unreadable", f"a file of {size / 2**20:.0f} MB; expected a slice; remove the file")
    raw = path.read_bytes()
    try:
        meta = read_file_meta_info(path)
    except Exception:  # dcmread of these bytes reports what is wrong
        return raw
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        start = 132 + 12 + int(meta.get("FileMetaInformationGroupLength", 0))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        inflate.decompress(raw[start:], LARGEST_FILE)
        if inflate.unconsumed_tail:
            text = f"inflates to more than {LARGEST_FILE / 2**20:.0f} MB; expected one CT slice; remove the file"
            raise Unusable("unreadable", text)
    return raw
