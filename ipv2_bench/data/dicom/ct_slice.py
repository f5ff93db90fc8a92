"""A CT slice in Hounsfield units (HU), read from one DICOM file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipv2_bench.data.dicom.decoded import DecodedCache
from ipv2_bench.data.dicom.pixels import decode_hu
from ipv2_bench.data.dicom.reading import open_dicom, read_bytes
from ipv2_bench.data.dicom.tags import (
    TAGS,
    geometry_findings,
    hashed,
    is_square,
    numbers,
    rescale_findings,
    value_text,
    why_left_out,
    word,
)
from ipv2_bench.data.findings import Findings, LeftOut, Unusable


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
        int16 (where slope and intercept are whole numbers) or float32 [H, W]; padding is −1000.
    spacing
        Side of a pixel in mm; 0 where only the tags were read and do not hold it.
    corner, axes, location
        Position of the first pixel [3] in mm, directions of rows and columns [6], SliceLocation [1]; or ``None``.
    kernel, acquisition
        ConvolutionKernel and AcquisitionNumber as text, empty where the tags do not hold them.
    description
        SeriesDescription, as it stands in the file.
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
    kernel: str = ""
    acquisition: str = ""
    description: str = ""


def read_slice(
    path: Path,
    name: str,
    findings: Findings,
    left_out: LeftOut,
    cache: DecodedCache | None = None,
    derived: bool = False,
    pixels: bool = True,
    square: bool = False,
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
    square
        Resample oblong pixels to squares of their shorter side, linearly; otherwise they are a problem.

    Returns
    -------
    CTSlice or None
        ``None`` when the file has a problem or is left out.
    """
    try:
        raw = read_bytes(path)
        data = open_dicom(raw, specific_tags=TAGS, stop_before_pixels=not pixels)
        reason = why_left_out(data, derived)
    except Unusable as unusable:
        findings.add(name, *unusable.problem)
        return None
    except Exception as error:  # any type on damaged files; its text may quote tag values, so only the type
        text = f"cannot be read ({type(error).__name__}); expected a complete DICOM file; copy it again or remove it"
        findings.add(name, "unreadable", text)
        return None
    if reason is not None:
        left_out.add(reason, name)
        return None
    problems = [*rescale_findings(data), *(geometry_findings(data, square) if pixels else ())]
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
    if pixels and spacing is not None and not is_square(spacing):
        hu, spacing = resampled_to_squares(hu, spacing), np.full(2, spacing.min())
    return CTSlice(
        name,
        value_text(data, "SeriesInstanceUID"),
        hashed(data, "PatientID"),
        hashed(data, "StudyInstanceUID"),
        hu,
        float(spacing[0]) if spacing is not None else 0.0,
        numbers(data, "ImagePositionPatient", 3),
        numbers(data, "ImageOrientationPatient", 6),
        numbers(data, "SliceLocation", 1),
        word(data, "ConvolutionKernel"),
        word(data, "AcquisitionNumber"),
        value_text(data, "SeriesDescription"),
    )


def resampled_to_squares(hu: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """A slice with square pixels of the shorter side, linear between the middles of its pixels; the first one stays in its place.

    Parameters
    ----------
    hu
        [H, W], whose type is kept; integers are rounded.
    spacing
        Distance of rows and of columns in mm, [2].
    """
    made = hu.astype(np.float64)
    for axis, step in enumerate(spacing.min() / spacing):
        n = hu.shape[axis]
        at = np.arange(int((n - 1) / step + 1e-6) + 1) * step
        before = np.minimum(at.astype(int), max(n - 2, 0))
        share = np.expand_dims(at - before, 1 - axis)
        after = np.minimum(before + 1, n - 1)
        made = np.take(made, before, axis) * (1.0 - share) + np.take(made, after, axis) * share
    return (np.rint(made) if hu.dtype.kind == "i" else made).astype(hu.dtype)
