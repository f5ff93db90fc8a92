"""Two trees of DICOM series become pairs by patient and position, and nothing is changed in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

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
def test_another_orientation_is_refused(tmp_path: Path, rule: str) -> None:
    for side, axes in (("lq", [1, 0, 0, 0, 1, 0]), ("gt", [-1, 0, 0, 0, -1, 0])):
        write_series(tmp_path / "ct" / side / "a", scans(3, noise=5.0), SPACING, ImageOrientationPatient=axes)
    with pytest.raises(InputError, match="ImageOrientationPatient differs from that of a; expected one orientation") as caught:
        slices_of(PairedDicom(str(tmp_path / "ct"), match_by=rule, resample=True), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_hardly_turned_patient_is_no_other_orientation(tmp_path: Path) -> None:
    for side, axes in (("lq", [1, 0, 0, 0, 1, 0]), ("gt", [0.99999, 0.004, 0, -0.004, 0.99999, 0])):
        write_series(tmp_path / "ct" / side / "a", scans(3, noise=5.0), SPACING, ImageOrientationPatient=axes)
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
