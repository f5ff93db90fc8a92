"""CT slices written as DICOM: derived from a file of the scanner, or new ones without any identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ipv2_bench import __version__
from ipv2_bench.data.dicom.pixels import padding
from ipv2_bench.data.dicom.tags import numbers, quiet_pydicom, rescale
from ipv2_bench.files import write_whole

OUTDATED = ("SmallestImagePixelValue", "LargestImagePixelValue", "IconImageSequence", "PixelDataProviderURL")
"""Tags that describe the pixels of the original, and are removed with them."""

LONGEST = 64
"""Most characters of a SeriesDescription."""


def derive(data: FileDataset, stored: np.ndarray, change_hu: np.ndarray, title: str, made_by: str) -> FileDataset:
    """The slice with other pixels and everything else unchanged, uncompressed.

    Geometry, patient, rescale tags and padding are kept. SOP instance and series get new UIDs, which are the same whenever
    the same slice is processed in the same way, so that an interrupted run continues one series.

    Parameters
    ----------
    data
        The whole file as pydicom read it; it is changed in place and returned.
    stored
        Its stored values [H, W].
    change_hu
        Change of each pixel, [H, W] in HU; the sum is rounded to the nearest stored value and clipped to what the stored
        bits hold; 0 keeps a pixel exactly.
    title
        Name of the denoiser, for the descriptions.
    made_by
        What determines the result besides the slice, such as the hash of a checkpoint.
    """
    with quiet_pydicom():
        for _ in data.iterall():  # values that were never read are still in the bytes of the old encoding
            pass
        slope, _ = rescale(data)
        bits = numbers(data, "BitsStored", 1)
        signed = int(data.get("PixelRepresentation") or 0)
        depth = int(bits[0]) if bits is not None else 8 * stored.dtype.itemsize
        low, high = (-(1 << (depth - 1)), (1 << (depth - 1)) - 1) if signed else (0, (1 << depth) - 1)
        change = np.rint(change_hu.astype(np.float64) / slope).astype(np.int64)
        changed = (stored.astype(np.int64) + change).clip(low, high)
        unchanged = padding(data, stored) | (change_hu == 0)
        changed[unchanged] = stored[unchanged]
        source = Dataset()
        source.ReferencedSOPClassUID = data.get("SOPClassUID") or CTImageStorage
        source.ReferencedSOPInstanceUID = str(data.get("SOPInstanceUID") or "")
        if source.ReferencedSOPInstanceUID:
            data.SourceImageSequence = [source]
        content = hashlib.sha256(stored.tobytes()).hexdigest()
        own = [str(data.get(k) or "") for k in ("SOPInstanceUID", "ImagePositionPatient", "SliceLocation")]
        series = [str(data.get(k) or "") for k in ("StudyInstanceUID", "SeriesInstanceUID")]
        data.SOPInstanceUID = generate_uid(entropy_srcs=["slice", made_by, content, *own])
        data.SeriesInstanceUID = generate_uid(entropy_srcs=["series", made_by, *series])
        data.ImageType = ["DERIVED", *[str(word) for word in (data.get("ImageType") or ["", "PRIMARY"])][1:]]
        data.DerivationDescription = f"noise reduced by {title} (ipv2-bench {__version__}, {made_by[:16]})"
        description = str(data.get("SeriesDescription") or "")
        data.SeriesDescription = f"{description} {title}".strip()[-LONGEST:]
        for keyword in OUTDATED:
            if keyword in data:
                delattr(data, keyword)
        _set_pixels(data, changed.astype(stored.dtype))
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = data.get("SOPClassUID") or CTImageStorage
        meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta = meta
    return data


def make_slice(
    hu: np.ndarray, spacing_mm: float, corner_mm: tuple[float, float, float], patient: str, series: str, title: str
) -> FileDataset:
    """A new slice that holds nothing but its geometry and a pseudonym; 16 bit signed, 1 HU for each step.

    Parameters
    ----------
    hu
        [H, W] in HU, rounded and clipped to 16 bit.
    spacing_mm, corner_mm
        Side of a pixel, and position of the first pixel, in mm.
    patient
        Pseudonym, for PatientID and PatientName.
    series
        Name that distinguishes this series from others; it determines the UID.
    title
        Description of the series.
    """
    stored = np.rint(hu).clip(-32768, 32767).astype("<i2")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Modality, data.ImageType = CTImageStorage, "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    data.SOPInstanceUID = generate_uid(
        entropy_srcs=["slice", series, repr(corner_mm), hashlib.sha256(stored.tobytes()).hexdigest()]
    )
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.SeriesInstanceUID = generate_uid(entropy_srcs=["series", series])
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study", patient])
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", patient])
    data.PatientName = data.PatientID = patient
    data.PatientIdentityRemoved = "YES"
    data.SeriesDescription, data.DerivationDescription = title[:LONGEST], f"{title} (ipv2-bench {__version__})"
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [float(f"{x:.6g}") for x in corner_mm]
    data.PixelSpacing = [float(f"{spacing_mm:.8g}")] * 2
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, 0, "HU"
    _set_pixels(data, stored)
    return data


def _set_pixels(data: FileDataset, stored: np.ndarray) -> None:
    """Set PixelData to stored values [H, W], little endian and uncompressed."""
    data.BitsAllocated = 8 * stored.dtype.itemsize
    data.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    data["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"
    data["PixelData"].is_undefined_length = False


def write_dicom(path: Path, data: FileDataset) -> None:
    """Write a slice, whole or not at all; its folder is created."""
    with quiet_pydicom():
        write_whole(path, lambda file: dcmwrite(file, data, enforce_file_format=True))
