"""Public data as they come down: both doses side by side, told apart by description or folder name."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from ipv2_bench.cli import main
from ipv2_bench.data.dicom.doses import by_dose
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.sources.paired_dicom import PairedDicom
from ipv2_bench.errors import InputError
from tests.data.dicom.test_pairing import SPACING, scans, slices_of
from tests.dicom_files import write_series

RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
Capture = pytest.CaptureFixture[str]


def low(seed: int) -> np.ndarray:
    return scans(4, noise=100.0 + seed)


def normal(seed: int) -> np.ndarray:
    return scans(4, noise=5.0 + seed)


def projections(folder: Path, patient: str, sop: str | None) -> None:
    """Views as DICOM-CT-PD holds them: no position, detector rows and columns in private elements."""
    for path in write_series(folder, np.zeros((3, 16, 64)), 1.0, PatientID=patient, SeriesDescription="Low Dose Projections"):
        data = dcmread(path)
        for name in ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
            delattr(data, name)
        if sop:
            data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = sop
        else:
            data.add_new(0x70291010, "US", 16)
        data.save_as(path)


def tcia(root: Path) -> Path:
    """``PATIENT/DATE-NUMBER/1.000000-DESCRIPTION-NUMBER/1-001.dcm``, each series in a study folder of its own."""
    for p in range(2):
        patient = f"C00{p}"
        below = root / "LDCT-and-Projection-data" / patient
        tags = {"PatientID": patient, "StudyInstanceUID": f"1.2.{p}"}
        for k, (words, hu) in enumerate((("Full Dose Images", normal(p)), ("Low Dose Images", low(p)))):
            folder = below / f"12-23-2021-NA-NA-8588{k}" / f"1.000000-{words}-9156{k + p}"
            write_series(folder, hu, SPACING, SeriesDescription=words, **tags)
        projections(below / "12-23-2021-NA-NA-1" / "1.000000-Full Dose Projections-5", patient, RAW_DATA)
        projections(below / "12-23-2021-NA-NA-2" / "1.000000-Low Dose Projections-6", patient, None)
    # A patient of a maker whose low-dose images were never made.
    write_series(root / "LDCT-and-Projection-data" / "C9" / "1.000000-Full Dose Images-1", normal(9), SPACING, PatientID="C9")
    return root


def mayo_by_patient(root: Path) -> Path:
    """``L067/full_1mm/L067_FD_1_1.CT.0002.0001.IMA``, and a second slice thickness beside it."""
    for p in range(2):
        patient = f"L06{p}"
        for k, mm in enumerate(("1mm", "3mm")):
            for word, short, hu in (("full", "FD", normal(2 * p + k)), ("quarter", "QD", low(2 * p + k))):
                folder = root / patient / f"{word}_{mm}"
                for path in write_series(folder, hu, SPACING, PatientID=patient, StudyInstanceUID=f"1.2.{p}.{k}"):
                    path.rename(folder / f"{patient}_{short}_{k}_1.CT.0002.{path.stem[-3:]}.2015.12.22.18.09.40.IMA")
    return root


def mayo_by_dose(root: Path) -> Path:
    """``Training_Image_Data/1mm B30/full_1mm/L067/full_1mm/*.IMA``."""
    for p in range(2):
        for word, hu in (("full", normal(p)), ("quarter", low(p))):
            folder = root / "Training_Image_Data" / "1mm B30" / f"{word}_1mm" / f"L06{p}" / f"{word}_1mm"
            for path in write_series(folder, hu, SPACING, PatientID=f"L06{p}"):
                path.rename(path.with_suffix(".IMA"))
    return root


@pytest.mark.parametrize(
    ("layout", "pairs", "rule"),
    [
        (tcia, 2, "patient_id"),
        *((layout, n, rule) for layout, n in ((mayo_by_patient, 4), (mayo_by_dose, 2)) for rule in ("patient_id", "folder")),
    ],
)
def test_public_layouts_are_pairs(tmp_path: Path, capsys: Capture, layout, pairs: int, rule: str) -> None:
    root = layout(tmp_path / "ct")
    assert main(["check", str(root), "--quiet", f"data.match_by={rule}"]) == 0
    said = capsys.readouterr().out
    assert said.count("4 common positions; 0 uLDCT and 0 NDCT alone") == pairs
    if layout is tcia:
        assert "left out: 12 projections (such as LDCT-and-Projection-data/C000/" in said
        assert "no pair: 1 NDCT series without uLDCT (such as LDCT-and-Projection-data/C9/" in said
    slices = slices_of(PairedDicom(str(root), match_by=rule), tmp_path)
    assert len(slices) == 4 * pairs and len(set(slices.patient)) == 2
    grain = [np.median(np.abs(np.diff(np.asarray(side)[:, 90:170, 60:100]))) for side in (slices.low, slices.normal)]
    assert grain[0] > 5 * grain[1]
    for i in range(len(slices)):  # the same heights, and the same of several series
        bars = [int((np.asarray(side[i])[58:70, 125:131].mean(1) > 0.84).sum()) for side in (slices.low, slices.normal)]
        assert bars[0] == bars[1]


@pytest.mark.parametrize("layout", [tcia, mayo_by_patient])
def test_public_layouts_train_with_two_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout) -> None:
    root = layout(tmp_path / "public data")
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(root), "--quiet"]) == 0
    words = ["data.source=paired_dicom", f"data.root={root}", "data.size=64", "data.fractions=[0.5,0.0,0.5]"]
    words += ["data.split=patient", "train.steps=2", "noise.views=32", "denoisers.red_cnn.width=4"]
    paper = Path(__file__).parents[3] / "experiments" / "paper.yaml"
    assert main(["train", "--denoiser", "red_cnn", "--config", str(paper), "--quiet", *words]) == 0


def test_purify_takes_a_public_layout_without_further_words(tmp_path: Path) -> None:
    root = mayo_by_dose(tmp_path / "ct")
    assert main(["purify", str(root), str(tmp_path / "out"), "--quiet", "--strategy", "IPv1"]) == 0
    assert len(list((tmp_path / "out").rglob("lq/*.png"))) == 8


def test_what_is_alone_is_said_where_it_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tcia(tmp_path / "ct")
    write_series(root / "elsewhere", normal(7), SPACING, PatientID="X")
    with caplog.at_level(logging.WARNING):
        slices_of(PairedDicom(str(root)), tmp_path)
    assert "12 projections (such as " in caplog.text
    assert "left out of the pairs: 1 NDCT series without uLDCT (such as " in caplog.text
    assert "1 series that say neither dose (such as elsewhere/slice000.dcm)" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Full Dose Images", ("normal", "images")),
        ("LOW DOSE CHEST 1.0 B30f", ("low", "chest 1 0 b 30 f")),
        ("quarter_3mm_sharp", ("low", "3 mm sharp")),
        ("L067_QD_1_SHARP", ("low", "l 067 1 sharp")),
        ("1.000000-Full Dose Images-91561", ("normal", "1 images")),
        ("UltraLow dose", ("low", "")),
        ("ultra-low dose", ("low", "")),
        ("NDCT", ("normal", "")),
        ("uldct thorax", ("low", "thorax")),
        ("Standard", None),
        ("standard dose", ("normal", "")),
        ("full and quarter", None),
        ("Lower lobe, high resolution", None),
        ("", None),
    ],
)
def test_what_names_say(tmp_path: Path, text: str, said: tuple[str, str] | None) -> None:
    write_series(tmp_path / "a", scans(1), SPACING, SeriesDescription=text)
    told = by_dose(read_tree(tmp_path))
    found = [(side, one.label) for side in ("low", "normal") for one in getattr(told, side)]
    assert found == ([said] if said else [])
    assert len(told.other) == (said is None)


def test_a_scan_is_not_paired_with_itself(tmp_path: Path, capsys: Capture) -> None:
    write_series(tmp_path / "a" / "gt" / "x", normal(0), SPACING, PatientID="P")
    shutil.copytree(tmp_path / "a" / "gt", tmp_path / "a" / "lq")
    with pytest.raises(InputError, match="each scan is paired with itself: uLDCT and NDCT \\(x\\) hold the same pixels"):
        slices_of(PairedDicom(str(tmp_path / "a")), tmp_path)
    assert main(["check", str(tmp_path / "a"), "--quiet"]) == 2
    assert "each scan is paired with itself" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"each scan is paired with itself: data\.low and data\.normal are both"):
        PairedDicom(low=str(tmp_path / "a"), normal=str(tmp_path / "b" / ".." / "a"))


def test_a_tree_without_doses_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    write_series(tmp_path / "ct" / "x", normal(0), SPACING, PatientID="P")
    with pytest.raises(InputError, match=r"no pairs under .*ct: 1 series that say neither dose .*expected folders lq and gt, or"):
        slices_of(PairedDicom(str(tmp_path / "ct")), tmp_path)


@pytest.mark.parametrize("by", ["kernel", "acquisition"])
def test_one_of_several_kernels_or_phases_is_chosen(tmp_path: Path, capsys: Capture, by: str) -> None:
    """Two reconstructions in one folder under one series number, for both doses."""
    root = tmp_path / "ct"
    words = {"kernel": ("B30f", "D45"), "acquisition": ("3", "5")}[by]
    tag = {"kernel": "ConvolutionKernel", "acquisition": "AcquisitionNumber"}[by]
    for side, of in (("lq", low), ("gt", normal)):
        for k, word in enumerate(words):
            tags = {tag: word, "SeriesInstanceUID": f"1.2.3.{side == 'lq':d}", "StudyInstanceUID": "1.2", "PatientID": "P"}
            for path in write_series(root / side / str(k), of(k), SPACING, **tags):
                path.rename(root / side / f"{k}-{path.name}")
    assert main(["check", str(root), "--quiet"]) == 2
    assert f"choose one with data.{by}: {', '.join(words)}" in capsys.readouterr().out
    with pytest.raises(InputError, match=f"choose one with data.{by}: {', '.join(words)}"):
        slices_of(PairedDicom(str(root)), tmp_path)
    made = []
    for k, word in enumerate(words):
        assert main(["check", str(root), "--quiet", f"data.{by}={word.lower()}"]) == 0
        assert f"left out: 4 of another {by} (such as " in capsys.readouterr().out
        chosen = {by: int(word) if word.isdigit() else word}
        slices = slices_of(PairedDicom(str(root), **chosen), tmp_path)
        assert len(slices) == 4
        whole = np.stack([slices.low.hu(i) for i in range(4)])
        assert np.abs(whole - np.rint(low(k)).clip(-1024, 3071)).max() <= 1.0
        made.append(whole)
    assert not np.array_equal(*made)
    with pytest.raises(InputError, match=rf"no slice is of data\.{by}=Q9: there are {', '.join(words)}"):
        slices_of(PairedDicom(str(root), **{by: "Q9"}), tmp_path)
