"""Two trees of DICOM series become pairs by patient and position, and nothing is changed in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from ipv2_bench.data.dicom.pairing import turned
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.sources.paired_dicom import PairedDicom
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from tests.data.test_lung import chest
from tests.dicom_files import write_series

SPACING = 1.5


def scans(n: int, shift: float = 0.0, noise: float = 5.0) -> np.ndarray:
    """Slices [n, 256, 256] in HU with their index in the lung: slice i holds a bar of i + 1 rows."""
    hu = np.stack([chest(noise=0.0) for _ in range(n)])
    for i in range(n):
        hu[i, 60 : 61 + i, 120:136] = 300.0
    rng = np.random.default_rng(int(noise))
    return hu + shift + noise * rng.standard_normal(hu.shape)


def trees(root: Path, patients: int = 2, **low_tags: object) -> Path:
    for p in range(patients):
        tags = {"PatientID": f"P{p}", "StudyInstanceUID": f"1.2.{p}"}
        write_series(root / "lq" / f"x{p}", scans(4, noise=100.0 + p), SPACING, **{**tags, **low_tags})
        write_series(root / "gt" / f"y{p}", scans(4, noise=5.0 + p), SPACING, **tags)
    return root


def slices_of(source: PairedDicom, tmp_path: Path, size: int = 256):
    return source.slices(tmp_path / "cache", Window(), size)


def test_pairs_have_the_same_height_whatever_the_files_are_called(tmp_path: Path) -> None:
    root = trees(tmp_path / "ct")
    for k, path in enumerate(sorted((root / "lq").rglob("*.dcm"), reverse=True)):
        path.rename(path.with_name(f"q{k}.dcm"))
    slices = slices_of(PairedDicom(str(root)), tmp_path)
    assert len(slices) == 8 and len(set(slices.patient)) == 2
    for i in range(8):
        bars = [int((np.asarray(side[i])[58:70, 125:131].mean(1) > 0.84).sum()) for side in (slices.low, slices.normal)]
        assert bars[0] == bars[1] == i % 4 + 1
    assert slices.truth is None and slices.pixel_mm[0] == SPACING
    grain = [np.median(np.abs(np.diff(np.asarray(side)[:, 90:170, 60:100]))) for side in (slices.low, slices.normal)]
    assert grain[0] > 5 * grain[1]


def test_slices_without_a_partner_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = trees(tmp_path / "ct", 1)
    (root / "gt" / "y0" / "slice003.dcm").unlink()
    with caplog.at_level(logging.WARNING):
        slices = slices_of(PairedDicom(str(root)), tmp_path)
    assert len(slices) == 3
    assert "1 of 4 uLDCT and 0 of 3 NDCT slices have no partner within 1 mm" in caplog.text


def test_tolerance(tmp_path: Path) -> None:
    root = trees(tmp_path / "ct", 1)
    for i, path in enumerate(sorted((root / "lq").rglob("*.dcm"))):
        from pydicom import dcmread

        data = dcmread(path)
        data.ImagePositionPatient = [0, 0, 4.0 * i + 1.5]
        data.save_as(path)
    with pytest.raises(InputError, match="no slice is within 1 mm"):
        slices_of(PairedDicom(str(root)), tmp_path)
    assert len(slices_of(PairedDicom(str(root), tolerance_mm=1.6), tmp_path)) == 4


def test_another_grid_is_refused_and_resampled_only_when_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "ct"
    fine = scans(3, noise=5.0)
    write_series(root / "lq" / "a", fine, SPACING, PatientID="P")
    coarse = fine.reshape(3, 128, 2, 128, 2).mean((2, 4))
    write_series(root / "gt" / "a", coarse, 2 * SPACING, PatientID="P")
    with pytest.raises(InputError, match=r"pixels do not coincide with those of the NDCT .*data\.resample=true"):
        slices_of(PairedDicom(str(root)), tmp_path)
    with caplog.at_level(logging.WARNING):
        slices = slices_of(PairedDicom(str(root), resample=True, match_by="folder"), tmp_path)
    assert "the NDCT is resampled from 128 x 128 of 3 mm" in caplog.text
    difference = np.abs(np.asarray(slices.low) - np.asarray(slices.normal))[:, 40:210, 40:210] * 1400
    assert np.median(difference) < 10.0


@pytest.mark.parametrize("rule", ["patient_id", "folder"])
def test_an_oblique_orientation_is_refused(tmp_path: Path, rule: str) -> None:
    for side, axes in (("lq", [1, 0, 0, 0, 1, 0]), ("gt", [0.8, 0.6, 0, -0.6, 0.8, 0])):
        write_series(tmp_path / "ct" / side / "a", scans(3, noise=6.0 - (side == "gt")), SPACING, ImageOrientationPatient=axes)
    with pytest.raises(InputError, match="ImageOrientationPatient is oblique to that of a; expected one orientation") as caught:
        slices_of(PairedDicom(str(tmp_path / "ct"), match_by=rule, resample=True), tmp_path)
    assert "\n" not in str(caught.value)


TURNS = {
    "prone": [-1, 0, 0, 0, -1, 0],
    "mirrored": [-1, 0, 0, 0, 1, 0],
    "upside down": [1, 0, 0, 0, -1, 0],
    "left decubitus": [0, 1, 0, -1, 0, 0],
    "right decubitus": [0, -1, 0, 1, 0, 0],
    "transposed": [0, 1, 0, 1, 0, 0],
    "a little oblique": [-0.99999, 0.003, 0.003, -0.003, -0.99999, 0],
}


def anatomy(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """HU at points of a patient in mm, like nothing of their mirror images."""
    return np.rint(40.0 + 3.0 * x + 0.7 * y + 5.0 * z + 200.0 * np.exp(-((x - 20) ** 2 + (y + 12) ** 2) / 200.0))


def scanned(folder: Path, axes: list[float], height: int, width: int, corner: np.ndarray) -> None:
    """A series of four slices of the anatomy on a grid."""
    rows, columns = np.reshape(np.rint(axes), (2, 3))
    normal = np.cross(rows, columns)
    i, j = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    for k in range(4):
        first = corner + 2.0 * k * normal
        x, y, z = (first[d] + SPACING * (j * rows[d] + i * columns[d]) for d in range(3))
        (path,) = write_series(
            folder / str(k), anatomy(x, y, z)[None], SPACING, ImageOrientationPatient=axes, PatientID="P",
            SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2",
        )  # fmt: skip
        data = dcmread(path)
        data.ImagePositionPatient = [float(x) for x in first]
        data.save_as(path)


@pytest.mark.parametrize("name", TURNS)
def test_a_turned_series_shows_the_patient_as_the_other_does(tmp_path: Path, name: str) -> None:
    upright, axes = [1, 0, 0, 0, 1, 0], TURNS[name]
    height, width = 20, 28
    scanned(tmp_path / "upright", upright, height, width, np.array([-15.0, -20.0, 7.0]))
    rows, columns = np.reshape(np.rint(axes), (2, 3))
    turned_size = (height, width) if abs(rows[0]) == 1 else (width, height)
    # The corner from which the same pixels are met in the other directions, and the slices too.
    far = np.array([-15.0, -20.0, 7.0]) + np.array([width - 1, height - 1, 0.0]) * SPACING
    corner = np.array([-15.0, -20.0, 7.0])
    for direction in (rows, columns):
        corner = np.where(direction < 0, far, corner)
    if np.cross(rows, columns)[2] < 0:
        corner[2] = 7.0 + 3 * 2.0
    scanned(tmp_path / "turned", axes, *turned_size, corner)
    (wanted,), (other,) = read_tree(tmp_path / "upright"), read_tree(tmp_path / "turned")
    assert other.hu.shape != wanted.hu.shape or not np.array_equal(other.hu, wanted.hu)
    made = turned(other, wanted.axes)
    assert np.array_equal(made.hu, wanted.hu)
    assert np.allclose(made.position_mm, wanted.position_mm, atol=0.3) and np.allclose(made.corner_mm, wanted.corner_mm, atol=0.3)
    assert np.abs(made.axes - wanted.axes).max() < 0.01
    assert np.array_equal(turned(made, other.axes).hu, other.hu)  # and back


def test_pairs_of_other_orientations_are_pairs(tmp_path: Path) -> None:
    hu = scans(3, noise=5.0)
    write_series(tmp_path / "ct" / "lq" / "a", hu, SPACING)
    prone = write_series(tmp_path / "ct" / "gt" / "a", hu[:, ::-1, ::-1], SPACING, ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])
    first = dcmread(next((tmp_path / "ct" / "lq" / "a").glob("*.dcm"))).ImagePositionPatient
    for path in prone:
        data = dcmread(path)
        far = [float(first[d]) + 255 * SPACING for d in (0, 1)]
        data.ImagePositionPatient = [*far, data.ImagePositionPatient[2]]
        data.save_as(path)
    slices = slices_of(PairedDicom(str(tmp_path / "ct"), match_by="folder"), tmp_path)
    assert len(slices) == 3
    assert all(np.array_equal(slices.low.hu(i), slices.normal.hu(i)) for i in range(3))


def test_a_hardly_turned_patient_is_no_other_orientation(tmp_path: Path) -> None:
    for side, axes in (("lq", [1, 0, 0, 0, 1, 0]), ("gt", [0.99999, 0.004, 0, -0.004, 0.99999, 0])):
        write_series(tmp_path / "ct" / side / "a", scans(3, noise=6.0 - (side == "gt")), SPACING, ImageOrientationPatient=axes)
    assert len(slices_of(PairedDicom(str(tmp_path / "ct")), tmp_path)) == 3


def test_the_remedy_for_several_series_is_not_the_rule_that_is_set(tmp_path: Path) -> None:
    root = tmp_path / "ct"
    for k in range(2):
        write_series(root / "lq" / f"a{k}", scans(3, noise=100.0 + k), SPACING, PatientID="P")
        write_series(root / "gt" / f"a{k}", scans(3, noise=5.0 + k), SPACING, PatientID="P")
    with pytest.raises(InputError, match=r"2 uLDCT and 2 NDCT series of one patient; .* or set data\.match_by=folder$"):
        slices_of(PairedDicom(str(root)), tmp_path)
    for side in ("lq", "gt"):
        for path in (root / side / "a1").iterdir():
            path.rename(root / side / "a0" / f"other-{path.name}")
        (root / side / "a1").rmdir()
    with pytest.raises(InputError, match=r"series of one folder; .* or give each series a folder of its own$"):
        slices_of(PairedDicom(str(root), match_by="folder"), tmp_path)


def test_averaging_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        slices = slices_of(PairedDicom(str(trees(tmp_path / "ct", 1))), tmp_path, 64)
    assert "averaged from 256 to 64 pixels a side" in caplog.text
    assert slices.low.shape == (4, 64, 64) and slices.pixel_mm[0] == 4 * SPACING


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r: write_series(r / "lq" / "z", scans(3, noise=90.0), SPACING, PatientID="Q"),
            "no NDCT of the same patient",
        ),
        (
            lambda r: write_series(r / "gt" / "z", scans(3, noise=9.0), SPACING, PatientID="P0"),
            "1 uLDCT and 2 NDCT series",
        ),
        (
            lambda r: write_series(r / "gt" / "z", scans(3, noise=9.0), SPACING, PatientID=None),
            "have no PatientID",
        ),
    ],
)
def test_series_that_do_not_match_are_named(tmp_path: Path, spoil, message: str) -> None:
    root = trees(tmp_path / "ct", 1)
    spoil(root)
    with pytest.raises(InputError, match=message):
        slices_of(PairedDicom(str(root)), tmp_path)


def test_training_runs_on_paired_dicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipv2_bench.cli import main

    root = trees(tmp_path / "ct", 2)
    monkeypatch.chdir(tmp_path)
    paper = Path(__file__).parents[3] / "experiments" / "paper.yaml"
    words = ["data.source=paired_dicom", f"data.root={root}", "data.size=64", "data.fractions=[0.5,0.0,0.5]"]
    words += ["data.split=patient", "train.steps=2", "noise.views=32", "denoisers.red_cnn.width=4"]
    assert main(["train", "--denoiser", "red_cnn", "--config", str(paper), "--quiet", *words]) == 0
