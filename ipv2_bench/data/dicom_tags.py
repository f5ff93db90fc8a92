"""What the tags of a DICOM file say: is it a CT slice, and are its scale and geometry usable.

Nothing that could name a patient leaves the reader: only :data:`TAGS` are ever parsed, patient number and study become
hashes with a salt that is drawn anew in every run, and what pydicom itself would warn or log (it quotes tag values) is
held back.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

LARGEST_SIDE = 4096
LARGEST_TILT_DEG = 0.5
_SALT = os.urandom(16)

TAGS = [
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
    "PatientID",
    "StudyInstanceUID",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]
"""No other tag is parsed, hence no name, date or place ever reaches this program."""


def hashed(data: Dataset, keyword: str) -> str:
    """What only tells equal values of a tag from different ones; empty where it is missing or blank."""
    value = str(data.get(keyword) or "").strip()
    return hashlib.sha256(_SALT + value.encode()).hexdigest()[:16] if value else ""


def numbers(data: Dataset, keyword: str, count: int, finite: bool = True) -> np.ndarray | None:
    """``count`` float64 values of a tag, or ``None`` when it is missing or anything else."""
    try:
        value = data.get(keyword)
        array = np.atleast_1d(np.asarray([] if value is None else value, dtype=np.float64))
    except Exception:  # pydicom raises many types on malformed values
        return None
    return array if array.shape == (count,) and (np.isfinite(array).all() or not finite) else None


def rescale(data: Dataset) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept, known to be there."""
    slope, intercept = (numbers(data, k, 1, finite=False) for k in ("RescaleSlope", "RescaleIntercept"))
    assert slope is not None and intercept is not None
    return float(slope[0]), float(intercept[0])


def why_left_out(data: FileDataset, derived: bool = False) -> str | None:
    """Why a file is no slice of a CT scan, or ``None`` when it is one."""
    modality = str(data.get("Modality") or "")
    sop = UID(str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or "")).name
    # Scanners store screen shots such as dose reports under modality CT. A damaged file may have lost its
    # modality: where nothing speaks against CT it is kept, so that the damage gets reported.
    if modality not in ("", "CT") or "Secondary Capture" in sop or not (modality or not sop or "CT" in sop):
        return "not CT"
    kinds = [str(word) for word in (data.get("ImageType") or [])]
    if "LOCALIZER" in kinds:
        return "localizer"
    return "derived" if kinds[:1] == ["DERIVED"] and not derived else None


def shape_finding(data: Dataset) -> tuple[str, str] | None:
    """What speaks against decoding the pixels, as kind and text."""
    if "PixelData" not in data:
        return "damaged", "no pixel data; expected a complete CT slice; copy the file anew or remove it"
    rows, columns, frames, samples = (
        int(v[0]) if (v := numbers(data, k, 1)) is not None else missing
        for k, missing in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1))
    )
    if not 0 < min(rows, columns) <= max(rows, columns) <= LARGEST_SIDE:
        return "shape", f"Rows x Columns is {rows} x {columns}; expected 1 to {LARGEST_SIDE} each; remove the file"
    if (frames, samples) != (1, 1):
        return "shape", "several frames or colours; expected one grey slice per file; export single slices"
    return None


def rescale_findings(data: Dataset) -> Iterator[tuple[str, str]]:
    """What is wrong with the HU scale of a slice, as kinds and texts."""
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if numbers(data, keyword, 1, finite=False) is None:
            yield "tags", f"{keyword} is missing or no number; expected it for the HU scale; export the series anew"


def geometry_findings(data: Dataset) -> Iterator[tuple[str, str]]:
    """What is wrong with pixel spacing and tilt of a slice, as kinds and texts."""
    pair = numbers(data, "PixelSpacing", 2)
    if pair is None or pair.min() <= 0:
        yield "tags", "PixelSpacing is missing or not two positive numbers; expected mm; export the series anew"
    elif not np.isclose(pair[0], pair[1], rtol=1e-3, atol=0):
        yield (
            "spacing",
            f"pixels of {pair[0]:g} x {pair[1]:g} mm; expected square pixels; resample or remove the series",
        )
    tilt = numbers(data, "GantryDetectorTilt", 1)
    if tilt is not None and abs(tilt[0]) > LARGEST_TILT_DEG:
        yield (
            "orientation",
            f"gantry tilt of {tilt[0]:g} degrees; expected {LARGEST_TILT_DEG} at most; remove the series",
        )


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Hold back pydicom's warnings and log lines: they quote tag values."""
    theirs = logging.getLogger("pydicom")
    handlers, propagate = theirs.handlers, theirs.propagate
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        theirs.handlers, theirs.propagate = [logging.NullHandler()], False
        try:
            yield
        finally:
            theirs.handlers, theirs.propagate = handlers, propagate
