"""Small DICOM series for tests, written with pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

MARKER = "MARKERNAME"
"""Value of every identifying tag; nothing that the program writes may hold it."""

MARKER_DATE = "18991231"
MARKER_UID = "1.2.826.0.1.5550666."
"""Beginning of every UID."""

NAMES = [
    "AccessionNumber",
    "DeviceSerialNumber",
    "InstitutionAddress",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "OperatorsName",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientComments",
    "PatientName",
    "PatientTelephoneNumbers",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "ProtocolName",
    "ReferringPhysicianName",
    "RequestingPhysician",
    "SeriesDescription",
    "StationName",
    "StudyDescription",
    "StudyID",
    "EthnicGroup",
    "Occupation",
    "IssuerOfPatientID",
    "AdmissionID",
]
DATES = ["PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"]


def write_series(folder: Path, hu: np.ndarray, spacing_mm: float, **tags: object) -> list[Path]:
    """Write slices [n, N, N] in HU as one series; ``tags`` replace or, with ``None``, remove elements."""
    folder.mkdir(parents=True, exist_ok=True)
    uid, study = generate_uid(prefix=MARKER_UID), generate_uid(prefix=MARKER_UID)
    paths = []
    for i, image in enumerate(hu):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(prefix=MARKER_UID)
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.PatientID = MARKER + "ID"
        for name in NAMES:
            setattr(data, name, MARKER)
        for name in DATES:
            setattr(data, name, MARKER_DATE)
        data.FrameOfReferenceUID = study
        data.StudyInstanceUID, data.SeriesInstanceUID = study, uid
        data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Rows, data.Columns = image.shape
        data.PixelSpacing = [spacing_mm, spacing_mm]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [0, 0, 4.0 * i]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelData = (np.rint(image) + 1024).clip(0, 4095).astype("<u2").tobytes()
        for name, value in tags.items():
            if value is None:
                delattr(data, name)
            else:
                setattr(data, name, value)
        paths.append(folder / f"slice{i:03d}.dcm")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths
