"""CT slices and series as DICOM files, with an identity that no output may hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.errors import InputError

MARKER = "ZZQPATIENT"
MARKED_UID = "1.2.826.0.1.987654321"


def image(index: int, side: int = 16) -> np.ndarray:
    """Return stored values int ``[side, side]`` from 0 to 2000, different for every index."""
    return np.random.default_rng(index).integers(0, 2001, (side, side))


def slice_of(index: int, stored: np.ndarray | None = None, signed: bool = False, **tags: object) -> Dataset:
    """Return a CT slice at ``z = 2.5 * index``; a tag given as None is left out."""
    stored = image(index) if stored is None else stored
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.PatientName, data.PatientID = f"{MARKER}^NAME", f"{MARKER}ID"
    data.InstitutionName, data.PatientBirthDate = f"{MARKER} CLINIC", "19010203"
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"{MARKED_UID}.9.{index}"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{MARKED_UID}.1", f"{MARKED_UID}.2"
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(signed)
    data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
    data.PixelSpacing = ["0.75", "0.75"]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [-100, -120, 2.5 * index]
    data.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in tags.items():
            # Writing what is malformed on purpose makes pydicom warn.
            if value is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, value)
    return data


def save(data: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.file_meta.MediaStorageSOPClassUID = data.get("SOPClassUID", CTImageStorage)
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, n: int = 4, **tags: object) -> Path:
    for i in range(n):
        save(slice_of(i, **tags), folder / f"{i}.dcm")
    return folder


def refusal(root: Path) -> str:
    """Return the message of the refusal, after checks that hold for every one of them."""
    with pytest.raises(InputError) as caught:
        read_tree(root)
    message = str(caught.value)
    assert str(root.parent) not in message
    assert MARKER not in message
    assert MARKED_UID not in message
    assert "expected" in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return message
