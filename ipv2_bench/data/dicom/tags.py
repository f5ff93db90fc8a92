"""Checks of a DICOM file's tags: whether it is a CT slice, and whether its HU scale and geometry are usable.

Nothing that could name a patient leaves the reader: only :data:`TAGS` are ever parsed, patient number and study become
hashes with a salt that is drawn again in every run, and pydicom's own warnings and log lines (they quote tag values) are
suppressed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from pydicom.multival import MultiValue
from pydicom.uid import UID

from ipv2_bench.data.findings import Problem, shown

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

LARGEST_SIDE = 4096
LARGEST_TILT_DEG = 0.5
_SALT = os.urandom(16)

DETECTOR_ROWS, DETECTOR_COLUMNS = 0x70291010, 0x70291011
"""Private elements of DICOM-CT-PD, the form of public projection data (Chen et al., Med. Phys. 42, 2015)."""

TAGS: list[str | int | tuple[int, int]] = [
    DETECTOR_ROWS,
    DETECTOR_COLUMNS,
    "SOPClassUID",
    "Modality",
    "ImageType",
    "SeriesInstanceUID",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceLocation",
    "GantryDetectorTilt",
    "ConvolutionKernel",
    "AcquisitionNumber",
    "SeriesDescription",
    "PatientID",
    "StudyInstanceUID",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]
"""The only tags that are parsed, hence no name, date or address ever reaches this program."""


def hashed(data: Dataset, keyword: str) -> str:
    """Salted hash of a tag's value, 16 hex digits: equal for equal values of one run; empty where the tag is missing or blank."""
    value = value_text(data, keyword)
    return hashlib.sha256(_SALT + value.encode()).hexdigest()[:16] if value else ""


def numbers(data: Dataset, keyword: str, count: int, finite: bool = True) -> np.ndarray | None:
    """The ``count`` float64 values of a tag, or ``None`` when it is missing or holds anything else."""
    try:
        value = data.get(keyword)
        array = np.atleast_1d(np.asarray([] if value is None else value, dtype=np.float64))
    except Exception:  # pydicom raises many types on malformed values
        return None
    return array if array.shape == (count,) and (np.isfinite(array).all() or not finite) else None


def value_text(data: Dataset, keyword: str) -> str:
    """A tag's value as text, several values joined by a backslash; empty where it is missing, blank or cannot be decoded."""
    try:
        value = data.get(keyword)
        several = isinstance(value, list | tuple | MultiValue)
        return "\\".join(str(v).strip() for v in value) if several else str("" if value is None else value).strip()
    except Exception:  # pydicom raises many types on malformed values
        return ""


def word(data: Dataset, keyword: str) -> str:
    """A tag's value as one line of at most 32 characters; several values are joined by ``/``, and empty stands for none."""
    return shown(value_text(data, keyword).replace("\\", "/"))[:32]


def rescale(data: Dataset) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept of a slice in which :func:`rescale_findings` sees no problem."""
    slope, intercept = (numbers(data, k, 1, finite=False) for k in ("RescaleSlope", "RescaleIntercept"))
    assert slope is not None and intercept is not None
    return float(slope[0]), float(intercept[0])


def why_left_out(data: FileDataset, derived: bool = False) -> str | None:
    """The reason why a file is no slice of a CT scan, or ``None`` when it is one.

    Derived images (ImageType DERIVED) count as slices only with ``derived``.
    """
    modality = value_text(data, "Modality")
    sop = UID(value_text(data, "SOPClassUID") or value_text(data.file_meta, "MediaStorageSOPClassUID")).name
    # Scanners store screen shots such as dose reports under modality CT. A damaged file may have lost its
    # modality: where nothing speaks against CT it is kept, so that the damage gets reported.
    if modality not in ("", "CT") or "Secondary Capture" in sop or not (modality or not sop or "CT" in sop):
        return "not CT"
    if "Raw Data" in sop or DETECTOR_ROWS in data or DETECTOR_COLUMNS in data:
        return "projections"
    kinds = value_text(data, "ImageType").split("\\")
    if "LOCALIZER" in kinds:
        return "localizer"
    return "derived" if kinds[:1] == ["DERIVED"] and not derived else None


def shape_finding(data: Dataset) -> Problem | None:
    """The problem that prevents decoding the pixels: they are missing, too many, or no single grey slice."""
    if "PixelData" not in data:
        return Problem("damaged", "no pixel data; expected a complete CT slice; copy the file again or remove it")
    rows, columns, frames, samples = (
        int(v[0]) if (v := numbers(data, k, 1)) is not None else missing
        for k, missing in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1))
    )
    if not 0 < min(rows, columns) <= max(rows, columns) <= LARGEST_SIDE:
        text = f"Rows x Columns is {rows} x {columns}; expected 1 to {LARGEST_SIDE} each; remove the file"
        return Problem("shape", text)
    if (frames, samples) != (1, 1):
        return Problem("shape", "several frames or colours; expected one grey slice per file; export single slices")
    return None


def rescale_findings(data: Dataset) -> Iterator[Problem]:
    """Problems of the HU scale of a slice."""
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if numbers(data, keyword, 1, finite=False) is None:
            text = f"{keyword} is missing or no number; expected it for the HU scale; export the series again"
            yield Problem("tags", text)


def geometry_findings(data: Dataset, oblong: bool = False) -> Iterator[Problem]:
    """Problems of the pixel spacing and the gantry tilt of a slice; ``oblong`` pixels are none where they are resampled."""
    pair = numbers(data, "PixelSpacing", 2)
    if pair is None or pair.min() <= 0:
        text = "PixelSpacing is missing or not two positive numbers; expected mm; export the series again"
        yield Problem("tags", text)
    elif not oblong and not is_square(pair):
        text = f"pixels of {pair[0]:g} x {pair[1]:g} mm; expected square pixels; set data.resample=true or remove the series"
        yield Problem("spacing", text)
    tilt = numbers(data, "GantryDetectorTilt", 1)
    if tilt is not None and abs(tilt[0]) > LARGEST_TILT_DEG:
        text = f"gantry tilt of {tilt[0]:g} degrees; expected {LARGEST_TILT_DEG} at most; remove the series"
        yield Problem("orientation", text)


def is_square(pair: np.ndarray) -> bool:
    """Whether the two sides of a pixel are the same."""
    return bool(np.isclose(pair[0], pair[1], rtol=1e-3, atol=0))


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Suppress pydicom's warnings and log lines: they quote tag values."""
    from pydicom.config import disable_value_validation

    pydicom_logger = logging.getLogger("pydicom")
    handlers, propagate = pydicom_logger.handlers, pydicom_logger.propagate
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        pydicom_logger.handlers, pydicom_logger.propagate = [logging.NullHandler()], False
        try:
            yield
        finally:
            pydicom_logger.handlers, pydicom_logger.propagate = handlers, propagate
