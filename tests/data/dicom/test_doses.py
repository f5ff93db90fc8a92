"""Public data as they come down: both doses side by side, told apart by description or folder name."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from ipv2_bench.benchmark.config import load_config
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
    assert "1 series whose names say no dose (such as elsewhere/slice000.dcm)" in caplog.text


NEITHER = ("", "Standard", "full dose and quarter dose", "Lower lobe, high resolution", "2nd phase", "9a1fd2e4b3", "normal001")


@pytest.mark.parametrize(
    ("text", "dose", "rest"),
    [
        ("Full Dose Images", "normal", "images"),
        ("LOW DOSE CHEST 1.0 B30f", "low", "chest 1 0 b30f"),
        ("1.000000-Full Dose Images-91561", "normal", "1 images"),
        ("UltraLow dose", "low", ""),
        ("ultra-low dose", "low", ""),
        ("lowdose", "low", ""),
        ("L067_QD_1_SHARP", "low", "l067 1 sharp"),
        ("NDCT", "normal", ""),
        ("uldct thorax", "low", "thorax"),
        ("standard dose", "normal", ""),
        ("Low dose 2nd phase", "low", "2nd phase"),
        *((text, None, "") for text in NEITHER),
    ],
)
@pytest.mark.parametrize("where", ["description", "folder"])
def test_what_names_say(tmp_path: Path, text: str, dose: str | None, rest: str, where: str) -> None:
    folder, description = ("a", text) if where == "description" else (text or "a", "")
    write_series(tmp_path / folder, scans(1), SPACING, SeriesDescription=description)
    groups = by_dose(read_tree(tmp_path))
    assert {side: [one.label for one in getattr(groups, side)] for side in ("low", "normal") if getattr(groups, side)} == (
        {dose: [rest]} if dose else {}
    )
    assert len(groups.unknown) == (dose is None)


@pytest.mark.parametrize(
    ("folder", "dose", "rest"),
    [
        ("quarter_3mm_sharp", "low", "3mm sharp"),
        ("full_1mm", "normal", "1mm"),
        ("L067_quarter_1mm", "low", "l067 1mm"),
        ("low", "low", ""),
        ("LQ", "low", ""),
        ("GT", "normal", ""),
        ("Full inspiration", None, ""),
        ("low kV", None, ""),
        ("LDCT-and-Projection-data", None, ""),
    ],
)
def test_folders_need_fewer_words_than_descriptions(tmp_path: Path, folder: str, dose: str | None, rest: str) -> None:
    write_series(tmp_path / folder / "x", scans(1), SPACING, SeriesDescription="chest")
    groups = by_dose(read_tree(tmp_path))
    assert [(side, one.label) for side in ("low", "normal") for one in getattr(groups, side)] == ([(dose, rest)] if dose else [])
    write_series(tmp_path / "other" / "x", scans(1, shift=9.0), SPACING, SeriesDescription=folder.replace("_", " "))
    said = [one.folder for side in ("low", "normal") for one in getattr(by_dose(read_tree(tmp_path)), side)]
    assert ("other/x" in said) == (folder in ("LQ", "GT"))  # and none for what has no "dose" behind it


@pytest.mark.parametrize(
    "names", [("low", "full"), ("LQ", "GT"), ("lq", "GT"), ("Low Dose", "Normal Dose"), ("x/quarter", "x/full")]
)
@pytest.mark.parametrize("rule", ["folder", "patient_id"])
def test_a_folder_may_be_the_word_of_a_dose_alone(tmp_path: Path, capsys: Capture, names: tuple[str, str], rule: str) -> None:
    for name, hu in zip(names, (low(0), normal(0)), strict=True):
        write_series(tmp_path / "ct" / name, hu, SPACING, PatientID="P" if rule == "patient_id" else None)
    assert main(["check", str(tmp_path / "ct"), "--quiet", f"data.match_by={rule}"]) == 0
    assert "4 common positions; 0 uLDCT and 0 NDCT alone" in capsys.readouterr().out
    assert len(slices_of(PairedDicom(str(tmp_path / "ct"), match_by=rule), tmp_path)) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"SeriesDescription": "Low dose"}, {"SeriesDescription": "Full dose 1.0"}),
        ({"SeriesDescription": "2.0 Low Dose Images"}, {"SeriesDescription": "1.0 Full Dose Images"}),
        ({"SeriesDescription": "Low dose lung"}, {"SeriesDescription": "chest"}),  # whose folder says it
    ],
)
def test_one_low_and_one_normal_series_are_a_pair_whatever_else_they_are_called(tmp_path: Path, one: dict, other: dict) -> None:
    write_series(tmp_path / "ct" / "a", low(0), SPACING, PatientID="P", **one)
    write_series(tmp_path / "ct" / "full dose", normal(0), SPACING, PatientID="P", **other)
    assert len(slices_of(PairedDicom(str(tmp_path / "ct")), tmp_path)) == 4


def check_and_use(root: Path, tmp_path: Path, capsys: Capture) -> tuple[str, str]:
    """What check says, and what the source refuses, which agree: neither is well without the other."""
    code = main(["check", str(root), "--quiet"])
    said = capsys.readouterr().out
    try:
        slices_of(PairedDicom(str(root)), tmp_path)
        refused = ""
    except InputError as error:
        refused = str(error)
    assert (code == 0) == (not refused), (said, refused)
    return said, refused


def test_check_and_the_source_agree_where_there_is_no_pair(tmp_path: Path, capsys: Capture) -> None:
    write_series(tmp_path / "a" / "low", low(0), SPACING, PatientID="P")
    write_series(tmp_path / "a" / "full", normal(0), SPACING, PatientID="Q")
    said, refused = check_and_use(tmp_path / "a", tmp_path, capsys)
    assert "no pair of uLDCT and NDCT; expected folders lq and gt, or" in said and "1 NDCT series without uLDCT" in refused
    write_series(tmp_path / "b" / "low", low(0), SPACING, PatientID="P")
    write_series(tmp_path / "b" / "full", normal(0), SPACING, PatientID="P")
    write_series(tmp_path / "b" / "low2" / "low", low(1), SPACING, PatientID=None)
    said, refused = check_and_use(tmp_path / "b", tmp_path, capsys)
    assert "no pairs: 1 series have no PatientID: set data.match_by=folder" in said and "have no PatientID" in refused
    assert "12 slices in 3 series" in said  # the rest of the report is there


@pytest.mark.parametrize("derived", [("low",), ("low", "full")])
def test_derived_images_are_pairs_where_all_are(tmp_path: Path, capsys: Capture, derived: tuple[str, ...]) -> None:
    for name, hu in (("low", low(0)), ("full", normal(0))):
        kind = ["DERIVED" if name in derived else "ORIGINAL", "PRIMARY", "AXIAL"]
        write_series(tmp_path / "ct" / name, hu, SPACING, PatientID="P", ImageType=kind)
    if len(derived) == 2:
        assert check_and_use(tmp_path / "ct", tmp_path, capsys)[1] == ""
    else:
        with pytest.raises(InputError, match=r"set data\.derived=true where one side is of derived images"):
            slices_of(PairedDicom(str(tmp_path / "ct")), tmp_path)
    assert len(slices_of(PairedDicom(str(tmp_path / "ct"), derived=True), tmp_path)) == 4
    assert main(["check", str(tmp_path / "ct"), "--quiet", "data.derived=true"]) == 0


def test_purify_takes_the_size_of_the_pairs(tmp_path: Path, capsys: Capture) -> None:
    root = mayo_by_dose(tmp_path / "ct")
    write_series(root / "AAA other", np.pad(scans(2), ((0, 0), (128, 128), (128, 128)), constant_values=-1000.0), SPACING)
    (root / "AAA other" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    words = ["purify", str(root), str(tmp_path / "out"), "--quiet", "--strategy", "IPv1", f"run.work={tmp_path / 'w'}"]
    assert main(words) == 2  # and no traceback; check lists it, too
    assert "broken.dcm" in capsys.readouterr().err and main(["check", str(root), "--quiet"]) == 2
    (root / "AAA other" / "broken.dcm").unlink()
    assert main(words) == 0
    assert len(list((tmp_path / "out").rglob("lq/*.png"))) == 8


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
    with pytest.raises(InputError, match=r"no pairs under .*ct: 1 series whose names say no dose .*expected folders lq and gt"):
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
        (tmp_path / "c.yaml").write_text(f"data: {{source: paired_dicom, root: '{root}', {by}: {word}}}\n")
        options = load_config(tmp_path / "c.yaml").data.options  # where YAML reads a number
        slices = slices_of(PairedDicom(**options), tmp_path)
        assert len(slices) == 4
        whole = np.stack([slices.low.hu(i) for i in range(4)])
        assert np.abs(whole - np.rint(low(k)).clip(-1024, 3071)).max() <= 1.0
        made.append(whole)
    assert not np.array_equal(*made)
    with pytest.raises(InputError, match=rf"no slice is of data\.{by}=Q9: there are {', '.join(words)}"):
        slices_of(PairedDicom(str(root), **{by: "Q9"}), tmp_path)
