"""Reading CT series from DICOM trees: values, order, refusals and privacy."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from ipv2_bench.data.dicom import reading, tags, tree
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import read_tree, scan_tree
from ipv2_bench.data.lung import lung_slices
from tests.data.dicom.ct_series import MARKED_UID, MARKER, image, refusal, save, series, slice_of


def test_series_is_read_in_hu_and_sorted_by_position(tmp_path: Path) -> None:
    for i, name in enumerate(["c.dcm", "a.DCM", "b"]):
        save(slice_of(i), tmp_path / "x" / "y" / name)
    (tmp_path / "README").write_text("not an image")
    (tmp_path / "x" / "list.csv").write_text("a,b")
    (only,) = read_tree(tmp_path)
    assert isinstance(only, Series)
    assert only.folder == "x/y"
    assert only.hu.dtype == np.int16
    assert np.array_equal(only.hu, np.stack([image(i) - 1024 for i in range(3)]))
    assert only.position_mm.dtype == np.float64
    assert only.position_mm.tolist() == [0.0, 2.5, 5.0]
    assert only.spacing_mm == 0.75
    assert len(only.key) == 8
    assert int(only.key, 16) >= 0


def test_file_names_and_identity_change_neither_order_nor_key(tmp_path: Path) -> None:
    for i in range(4):
        save(slice_of(i), tmp_path / "one" / "p" / f"{i}.dcm")
        save(slice_of(9 - i, SeriesInstanceUID="1.2.9"), tmp_path / "one" / "q" / f"{i}.dcm")
        other = {"PatientName": "B", "SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4"}
        save(slice_of(i, **other), tmp_path / "two" / "z" / f"{(i * 3) % 4}_x.dcm")
        save(slice_of(9 - i, SeriesInstanceUID="1.2.9"), tmp_path / "two" / "a" / f"{7 - i}.dcm")
    one, two = read_tree(tmp_path / "one"), read_tree(str(tmp_path / "two"), progress=True)
    assert [s.key for s in one] == [s.key for s in two] == sorted(s.key for s in one)
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.hu, b.hu)
        assert np.array_equal(a.position_mm, b.position_mm)


def test_two_series_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    for i in range(3):
        save(slice_of(i), tmp_path / f"a{i}.dcm")
        save(slice_of(i, image(50 + i), SeriesInstanceUID="1.2.3"), tmp_path / f"b{i}.dcm")
    both = read_tree(tmp_path)
    assert [s.hu.shape for s in both] == [(3, 16, 16)] * 2
    assert [s.folder for s in both] == [".", "."]


def test_one_series_over_several_folders_is_one(tmp_path: Path) -> None:
    for i in range(6):
        save(slice_of(i), tmp_path / "exam" / f"disc {i % 2}" / "a" / f"{i}.dcm")
    (only,) = read_tree(tmp_path)
    assert only.hu.shape == (6, 16, 16) and np.allclose(np.diff(only.position_mm), 2.5) and only.folder == "exam"
    # The same positions again, with other pixels: an export of two scans under one number.
    for i in range(6):
        save(slice_of(i, image(70 + i)), tmp_path / "again" / f"{i}.dcm")
    found = {s.folder: s for s in read_tree(tmp_path)}
    assert {k: len(s.hu) for k, s in found.items()} == {"exam/disc 0/a": 3, "exam/disc 1/a": 3, "again": 6}


def test_folders_of_one_number_that_do_not_continue_each_other_stay_apart(tmp_path: Path) -> None:
    for i in range(3):
        save(slice_of(i), tmp_path / "axial" / f"{i}.dcm")
        coronal = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImagePositionPatient": [-100, 10 * i, 60]}
        save(slice_of(20 + i, **coronal), tmp_path / "coronal" / f"{i}.dcm")
        save(slice_of(30 + i, image(30 + i, 20), ImagePositionPatient=[-100, -120, 90 + i]), tmp_path / "larger" / f"{i}.dcm")
    assert {s.folder: s.hu.shape for s in read_tree(tmp_path)} == {
        "axial": (3, 16, 16), "coronal": (3, 16, 16), "larger": (3, 20, 20)
    }  # fmt: skip


@pytest.mark.parametrize("tag", [{"ConvolutionKernel": "B70f"}, {"AcquisitionNumber": 2}], ids=lambda tag: next(iter(tag)))
def test_kernels_and_acquisitions_of_one_series_are_told_apart(tmp_path: Path, tag: dict[str, object]) -> None:
    for i in range(4):
        save(slice_of(i, ConvolutionKernel="B30f", AcquisitionNumber=1), tmp_path / f"a{i}.dcm")
        save(slice_of(i, image(40 + i), **{"ConvolutionKernel": "B30f", "AcquisitionNumber": 1, **tag}), tmp_path / f"b{i}.dcm")
    both = read_tree(tmp_path)
    assert [len(s.hu) for s in both] == [4, 4]
    assert {(s.kernel, s.acquisition) for s in both} == {("B30f", "1"), tuple(str(x) for x in {
        "ConvolutionKernel": "B30f", "AcquisitionNumber": 1, **tag}.values())}
    # Where neither tells them apart, the same position twice is a problem.
    save(slice_of(2, image(90), ConvolutionKernel="B30f", AcquisitionNumber=1), tmp_path / "c.dcm")
    assert "same position (5 mm)" in refusal(tmp_path)


def test_slice_location_is_the_fallback(tmp_path: Path) -> None:
    for i in range(3):
        save(slice_of(i, ImagePositionPatient=None, SliceLocation=-3.0 * i), tmp_path / f"{i}.dcm")
    (only,) = read_tree(tmp_path)
    assert only.position_mm.tolist() == [-6.0, -3.0, 0.0]
    assert np.array_equal(only.hu[2], image(0) - 1024)


@pytest.mark.filterwarnings("error")
def test_links_are_followed_once(tmp_path: Path) -> None:
    root = series(tmp_path / "root" / "one").parent
    other = tmp_path / "elsewhere" / "two"
    for i in range(20, 23):
        save(slice_of(i, SeriesInstanceUID="1.2.3"), other / f"{i}.dcm")
    os.symlink(root, root / "loop", target_is_directory=True)
    os.symlink(other, root / "linked", target_is_directory=True)
    os.symlink(other, root / "linked again", target_is_directory=True)
    os.symlink(root / "one", root / "inside", target_is_directory=True)
    os.symlink(tmp_path / "elsewhere", other / "up", target_is_directory=True)
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "pipe")
    found = scan_tree(root)
    assert sorted(s.folder for s in found.series) == ["linked", "one"] and not found.findings
    # What lies above what was read already is entered, but not read again.
    said = str(found.left_out)
    assert "a link to a folder that is read elsewhere" in said and "1 no regular file (such as pipe)" in said


def test_localizer_and_other_modalities_are_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series(tmp_path)
    save(slice_of(7, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), tmp_path / "l.dcm")
    save(slice_of(8, Modality="SR", PixelData=None), tmp_path / "r.dcm")
    save(slice_of(9, SOPClassUID=SecondaryCaptureImageStorage), tmp_path / "s.dcm")
    with caplog.at_level(logging.DEBUG):
        (only,) = read_tree(tmp_path)
    assert len(only.hu) == 4
    assert [r.getMessage() for r in caplog.records] == [
        "left out of the data set: 1 localizer (such as l.dcm), 2 not CT (such as r.dcm)"
    ]
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.records[0].name == "ipv2_bench"


def test_only_left_out_files_is_a_problem(tmp_path: Path) -> None:
    save(slice_of(8, Modality="MR"), tmp_path / "r.dcm")
    assert "no CT slice in this folder (left out: 1 not CT (such as r.dcm))" in refusal(tmp_path)


def test_root_missing_file_or_empty(tmp_path: Path) -> None:
    assert "nowhere: does not exist" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    assert "file: is a file" in refusal(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "empty: no DICOM file" in refusal(tmp_path / "empty")
    (tmp_path / "empty" / "README").write_text("x")
    assert "empty: no DICOM file in this folder (left out: 1 no image (such as README))" in refusal(tmp_path / "empty")


def constant() -> Dataset:
    return slice_of(1, np.full((16, 16), 70))


def short() -> Dataset:
    return slice_of(1, PixelData=b"\0" * 100)


BAD_SLICES: dict[str, tuple[Callable[[], Dataset], str]] = {
    "slope missing": (lambda: slice_of(1, RescaleSlope=None), "RescaleSlope is missing"),
    "intercept missing": (lambda: slice_of(1, RescaleIntercept=None), "RescaleIntercept is missing"),
    "spacing missing": (lambda: slice_of(1, PixelSpacing=None), "PixelSpacing is missing"),
    "spacing negative": (lambda: slice_of(1, PixelSpacing=[-1, -1]), "not two positive numbers"),
    "not square": (lambda: slice_of(1, PixelSpacing=[0.5, 0.7]), "0.5 x 0.7 mm; expected square"),
    "other spacing": (lambda: slice_of(1, PixelSpacing=[0.5, 0.5]), "spacing 0.5 mm in a series of 0.75 mm"),
    "other shape": (lambda: slice_of(1, image(1, 20)), "shape 20 x 20 in a series of 16 x 16"),
    "position missing": (lambda: slice_of(1, ImagePositionPatient=None), "no position"),
    "orientation missing": (lambda: slice_of(1, ImageOrientationPatient=None), "no position"),
    "pixels short": (short, "pixels cannot be decoded ('Explicit VR Little Endian', ValueError)"),
    "pixels missing": (lambda: slice_of(1, PixelData=None), "no pixel data"),
    "constant": (constant, "constant slice of -954 HU"),
    "nan slope": (lambda: slice_of(1, RescaleSlope="nan"), "NaN or infinite HU"),
    "infinite HU": (lambda: slice_of(1, RescaleSlope="1e300"), "NaN or infinite HU"),
    "tilt tag": (lambda: slice_of(1, GantryDetectorTilt=12), "gantry tilt of 12 degrees"),
    "turned": (lambda: slice_of(1, ImageOrientationPatient=[0, 1, 0, 0, 0, 1]), "ImageOrientationPatient"),
    "huge": (lambda: slice_of(1, Rows=4097, Columns=5000), "Rows x Columns is 4097 x 5000"),
    "frames": (lambda: slice_of(1, NumberOfFrames=4), "several frames"),
}


@pytest.mark.parametrize("case", BAD_SLICES)
def test_bad_slice_is_named(tmp_path: Path, case: str) -> None:
    root = series(tmp_path / "root" / "deep").parent
    make, finding = BAD_SLICES[case]
    save(make(), root / "deep" / "bad.dcm")
    (root / "deep" / "1.dcm").unlink()
    message = refusal(root)
    assert message.startswith("deep/bad.dcm: ")
    assert finding in message
    assert "\n" not in message


def test_duplicate_position_names_both_files(tmp_path: Path) -> None:
    save(slice_of(2, image(60)), series(tmp_path) / "twin.dcm")
    assert "twin.dcm: same position (5 mm) as 2.dcm" in refusal(tmp_path)


def test_same_series_twice_is_refused(tmp_path: Path) -> None:
    series(tmp_path / "a")
    series(tmp_path / "b")
    assert "b/0.dcm: same series as in a" in refusal(tmp_path)


def test_oblique_stack_is_a_gantry_tilt(tmp_path: Path) -> None:
    tilt = np.radians(10)
    for i in range(4):
        axes = [1, 0, 0, 0, round(np.cos(tilt), 6), round(np.sin(tilt), 6)]
        save(slice_of(i, ImageOrientationPatient=axes), tmp_path / f"{i}.dcm")
    assert "gantry tilt: slices stacked obliquely" in refusal(tmp_path)


def test_oblique_series_without_tilt_is_read(tmp_path: Path) -> None:
    c, s = round(np.cos(0.2), 6), round(np.sin(0.2), 6)
    for i in range(4):
        corner = [0, round(-3 * i * s, 6), round(3 * i * c, 6)]
        position = {"ImageOrientationPatient": [1, 0, 0, 0, c, s], "ImagePositionPatient": corner}
        save(slice_of(i, **position), tmp_path / f"{i}.dcm")
    assert np.allclose(read_tree(tmp_path)[0].position_mm, [0, 3, 6, 9], atol=1e-3)


@pytest.mark.parametrize("keep", [0, 100, 140, 300, 700, 1000])
def test_cut_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = save(slice_of(0), tmp_path / "cut.dcm")
    path.write_bytes(path.read_bytes()[:keep])
    assert "cut.dcm: " in refusal(tmp_path)


def test_text_and_dead_link_named_dcm(tmp_path: Path) -> None:
    series(tmp_path)
    (tmp_path / "note.dcm").write_text(MARKER)
    os.symlink(tmp_path / "gone", tmp_path / "dead.dcm")
    message = refusal(tmp_path)
    assert "note.dcm: cannot be read (InvalidDicomError)" in message
    assert "dead.dcm: cannot be opened" in message


def test_all_problems_come_in_one_list(tmp_path: Path) -> None:
    series(tmp_path / "a", RescaleSlope=None)
    save(constant(), tmp_path / "b" / "x.dcm")
    save(slice_of(2, RescaleIntercept=None, PixelSpacing=None), tmp_path / "b" / "y.dcm")
    save(slice_of(3, ImagePositionPatient=None), tmp_path / "c" / "z.dcm")
    message = refusal(tmp_path)
    assert message.startswith("5 problems in the data set:\n")
    assert len(message.splitlines()) == 6
    assert "a/0.dcm (and 3 more here): RescaleSlope" in message
    for name in ("b/x.dcm: constant", "b/y.dcm: RescaleIntercept", "b/y.dcm: PixelSp", "c/z.dcm: no pos"):
        assert name in message


def test_no_identity_in_messages_logs_and_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    series(tmp_path, SeriesInstanceUID=f"{MARKER}-not-a-uid", RescaleIntercept=None)
    series(tmp_path / "good", SeriesInstanceUID=f"{MARKER}-not-a-uid")
    save(slice_of(5, SOPInstanceUID=f"{MARKER}x", PixelData=b"\0" * 10), tmp_path / "s.dcm")
    save(slice_of(6, Modality=MARKER), tmp_path / "m.dcm")
    path = save(slice_of(8, RescaleSlope="1.2345678901"), tmp_path / "v.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2345678901", MARKER.encode() + b"XX"))
    # pydicom's own lines while these files were written are no matter of the reader.
    caplog.clear()
    capfd.readouterr()
    handlers = list(logging.getLogger("pydicom").handlers)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        message = refusal(tmp_path)
    assert "v.dcm: RescaleSlope is missing or no number" in message
    output = message + caplog.text + "".join(capfd.readouterr()) + "".join(str(w.message) for w in seen)
    assert MARKER not in output
    assert MARKED_UID not in output
    assert logging.getLogger("pydicom").handlers == handlers
    assert logging.getLogger("pydicom").propagate


def test_identity_is_never_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = reading.dcmread
    monkeypatch.setattr(reading, "dcmread", lambda *a, **k: parsed.append(real(*a, **k)) or parsed[-1])
    read_tree(series(tmp_path))
    assert len(parsed) == 4
    for keyword in ("PatientName", "PatientBirthDate", "InstitutionName"):
        assert not any(keyword in data for data in parsed)


def test_number_and_study_leave_the_reader_only_as_hashes_with_a_salt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    real = tree.group_patients
    monkeypatch.setattr(
        tree, "group_patients", lambda belonging, rule: given.append(belonging) or real(belonging, rule)
    )
    number, study = "P-0815", "1.2.826.0.99"
    (once,) = read_tree(series(tmp_path, PatientID=number, StudyInstanceUID=study))
    monkeypatch.setattr(tags, "_SALT", b"another run")
    (again,) = read_tree(tmp_path)
    assert once.patient == again.patient == once.key
    first, second = (next(iter(one.values())) for one in given)
    assert first.patient_id and first.studies
    assert first.patient_id != second.patient_id and first.studies != second.studies
    unsalted = {hashlib.sha256(x.encode()).hexdigest()[:16] for x in (number, study)}
    assert not unsalted & {first.patient_id, *first.studies}
    assert number not in repr(given) and study not in repr(given)


def test_line_break_in_a_file_name_keeps_one_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb.dcm").write_text("x")
    assert refusal(tmp_path).startswith("a?b.dcm: ")


@pytest.fixture
def real_tree() -> str:
    folder = os.environ.get("IPV2_BENCH_CT")
    if not folder:
        pytest.skip("IPV2_BENCH_CT is not set to a folder with the COVID-CT-MD sample")
    return folder


def test_real_data(real_tree: str) -> None:
    all_series = read_tree(real_tree)
    assert len(all_series) == 4
    assert sum(len(s.hu) for s in all_series) == 246
    for one in all_series:
        assert one.hu.shape[1:] == (512, 512)
        assert one.hu.dtype == np.int16
        assert one.hu.min() >= -1024
        assert np.allclose(np.diff(one.position_mm), 4.0, atol=0.01)
        assert 0.5 < one.spacing_mm < 1.0
        corner = one.hu[:, :64, :64]
        assert abs(np.median(corner[corner < -900]) + 1000) < 30
        lung = lung_slices(one.hu, one.spacing_mm)
        assert lung[len(lung) // 2]
        assert lung.mean() > 0.5
