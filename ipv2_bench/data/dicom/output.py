"""CT slices written as DICOM: derived from a file of the scanner, or new ones without any identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from ipv2_bench import __version__
from ipv2_bench.data.dicom.pixels import StoredBits, padding
from ipv2_bench.data.dicom.reading import CHARACTER_SET, character_set, open_dicom
from ipv2_bench.data.dicom.tags import quiet_pydicom, rescale, value_text
from ipv2_bench.files import write_whole

OUTDATED = ("SmallestImagePixelValue", "LargestImagePixelValue", "IconImageSequence", "PixelDataProviderURL")
"""Elements that describe the pixels of the original, and are removed with them."""

LONGEST = 64
"""Most characters of a SeriesDescription."""


def derive(raw: bytes, words: np.ndarray, change_hu: np.ndarray, title: str, made_by: str) -> bytes:
    """The file of the slice with other pixels, uncompressed, and everything else as the bytes that it was.

    Elements that the change does not concern are never decoded, so that odd ones pass. The encoding of the elements is kept.
    SOP instance and series get new UIDs, which are the same whenever the same slice is processed in the same way, so that an
    interrupted run continues one series. Group lengths, which are retired, are left out.

    Parameters
    ----------
    raw
        The whole file.
    words
        Words of its pixels as they stand in the file, [H, W]; see :func:`~ipv2_bench.data.dicom.pixels.decode_words`.
    change_hu
        Change of each pixel, [H, W] in HU; the sum is rounded to the nearest stored value and clipped to what the stored
        bits hold; 0 keeps a pixel exactly, and padding stays what it is.
    title
        Name of the denoiser, for the descriptions.
    made_by
        What determines the result besides the slice, such as the hash of a checkpoint.
    """
    with quiet_pydicom():
        told = open_dicom(raw)  # to be read; what is read would be encoded anew
        made = open_dicom(raw)
        slope, _ = rescale(told)
        bits = StoredBits.of(told, 8 * words.dtype.itemsize)
        stored = bits.values(words)
        changed = (stored + np.rint(change_hu.astype(np.float64) / slope).astype(np.int64)).clip(*bits.range)
        kept = padding(told, stored) | (change_hu == 0)
        changed[kept] = stored[kept]
        source = Dataset()
        source.ReferencedSOPClassUID = value_text(told, "SOPClassUID") or CTImageStorage
        source.ReferencedSOPInstanceUID = value_text(told, "SOPInstanceUID")
        if source.ReferencedSOPInstanceUID:
            made.SourceImageSequence = [source]
        content = hashlib.sha256(stored.tobytes()).hexdigest()
        own = [value_text(told, k) for k in ("SOPInstanceUID", "ImagePositionPatient", "SliceLocation")]
        series = [value_text(told, k) for k in ("StudyInstanceUID", "SeriesInstanceUID")]
        made.SOPInstanceUID = generate_uid(entropy_srcs=["slice", made_by, content, *own])
        made.SeriesInstanceUID = generate_uid(entropy_srcs=["series", made_by, *series])
        made.ImageType = ["DERIVED", *(value_text(told, "ImageType").split("\\") if "ImageType" in told else ["", "PRIMARY"])[1:]]
        made.DerivationDescription = f"noise reduced by {title} (ipv2-bench {__version__}, {made_by[:16]})"
        description = value_text(told, "SeriesDescription")
        made.SeriesDescription = f"{description if description.isascii() else ''} {title}".strip()[-LONGEST:]
        for keyword in OUTDATED:
            if keyword in made:
                del made[keyword]
        # Encapsulated and deflated elements are explicit little endian.
        before = UID(str(made.file_meta.TransferSyntaxUID))
        syntax: UID = ExplicitVRLittleEndian if before.is_encapsulated or before.is_deflated else before
        pixels = bits.words(changed, words)
        made.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
        made["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 or syntax == ImplicitVRLittleEndian else "OB"
        made["PixelData"].is_undefined_length = False
        made.file_meta.MediaStorageSOPClassUID = UID(value_text(told, "SOPClassUID") or CTImageStorage)
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.file_meta.TransferSyntaxUID = syntax
        return _encoded(made, character_set(raw, told))


def _encoded(data: FileDataset, charset: RawDataElement | None) -> bytes:
    """A file's bytes; elements that were never decoded are the bytes that they were, and so is the character set."""
    syntax = UID(str(data.file_meta.TransferSyntaxUID))
    out = DicomBytesIO()
    out.write((data.preamble or bytes(128)) + b"DICM")
    write_file_meta_info(out, data.file_meta, enforce_standard=True)
    out.is_implicit_VR, out.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    for tag in sorted(data.keys()):
        element = charset if charset is not None and tag == CHARACTER_SET else data.get_item(tag)
        if isinstance(element, RawDataElement) and element.value is None:
            element = element._replace(value=b"")
        if tag.element:  # without the retired lengths of groups, which are no longer right
            write_data_element(out, element)
    return out.getvalue()


@dataclass(frozen=True)
class Place:
    """Where a slice lies in the patient, and which one of its series it is.

    Attributes
    ----------
    corner_mm
        Position of the middle of the first pixel, [3].
    axes
        Directions of rows and columns, [6].
    spacing_mm
        Side of a pixel.
    number
        Its place in the series, from 1.
    """

    corner_mm: np.ndarray
    axes: np.ndarray
    spacing_mm: float
    number: int


@dataclass(frozen=True)
class NewSeries:
    """A series that does not come from a scanner.

    Attributes
    ----------
    patient
        Pseudonym, for PatientID and PatientName; one patient has one study and one frame of reference.
    name
        Distinguishes the series from others of all patients; it determines the UID.
    number
        Its number in the study.
    title
        Its description.
    kilovolt
        Tube voltage.
    """

    patient: str
    name: str
    number: int
    title: str
    kilovolt: int


EMPTY = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("PositionReferenceIndicator", "Manufacturer", "AcquisitionNumber", "SliceThickness", "PatientPosition", "Laterality"),
)
"""Elements that a CT slice has to have, and that nothing is known of (type 2 of PS3.3)."""


def make_slice(hu: np.ndarray, place: Place, series: NewSeries) -> FileDataset:
    """A new slice that holds nothing but its geometry and a pseudonym; 16 bit signed, 1 HU for each step.

    Parameters
    ----------
    hu
        [H, W] in HU, rounded and clipped to 16 bit.
    place, series
        Where it lies, and what it belongs to.
    """
    stored = np.rint(hu).clip(-32768, 32767).astype("<i2")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in EMPTY:
        setattr(data, keyword, None)
    data.SOPClassUID, data.Modality, data.ImageType = CTImageStorage, "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    corner = [float(x) for x in place.corner_mm]
    data.SOPInstanceUID = generate_uid(
        entropy_srcs=["slice", series.name, repr(corner), hashlib.sha256(stored.tobytes()).hexdigest()]
    )
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.SeriesInstanceUID = generate_uid(entropy_srcs=["series", series.name])
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study", series.patient])
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", series.patient])
    data.PatientName = data.PatientID = series.patient
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "written anew without any identity"
    data.SeriesNumber, data.InstanceNumber, data.KVP = series.number, place.number, series.kilovolt
    data.SeriesDescription = series.title[:LONGEST]
    data.DerivationDescription = f"{series.title} (ipv2-bench {__version__})"
    data.ImageOrientationPatient = [_decimal(x) for x in place.axes]
    data.ImagePositionPatient = [_decimal(x) for x in corner]
    data.PixelSpacing = [_decimal(place.spacing_mm)] * 2
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, 0, "HU"
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    return data


def _decimal(value: float) -> DSfloat:
    """A number in the 16 characters that a decimal string has."""
    return DSfloat(float(value), auto_format=True)


def write_dicom(path: Path, data: FileDataset) -> None:
    """Write a slice of :func:`make_slice`, whole or not at all; its folder is created."""
    with quiet_pydicom():
        write_whole(path, lambda file: dcmwrite(file, data, enforce_file_format=True))
