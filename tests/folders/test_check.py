"""What ``ipv2-bench check`` reports of a folder, and of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from ipv2_bench.cli import main
from ipv2_bench.data.formats.png import read_png, write_png
from ipv2_bench.data.thorax import Patient, draw_section
from tests.dicom_files import MARKER, write_series

Capture = pytest.CaptureFixture[str]


def check(root: Path, *words: str) -> int:
    return main(["check", str(root), "--quiet", *words])


def test_check_of_good_pairs_and_its_picture(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    assert check(ct_pairs, "--picture", str(tmp_path / "c.png")) == 0
    shown = capsys.readouterr().out
    assert "6 PNG pairs of 64×64, 16 bit" in shown and "no problem found" in shown and "| lung |" in shown
    picture = read_png(tmp_path / "c.png").unit
    assert picture.shape[0] > 300 and picture.std() > 0.1


def spoiled(ct_pairs: Path, tmp_path: Path) -> Path:
    shutil.copytree(ct_pairs, tmp_path / "p", ignore=shutil.ignore_patterns("truth"))
    return tmp_path / "p"


def test_check_lists_everything_at_once(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    root = spoiled(ct_pairs, tmp_path)
    low = sorted((root / "lq").rglob("*.png"))
    low[0].unlink()
    low[1].write_bytes(low[1].read_bytes()[:200])
    write_png(low[2], np.full((64, 64), 0.5, np.float32), 16)
    write_png(low[3], np.random.default_rng(0).random((32, 32), np.float32), 16)
    low[4].write_bytes(low[5].read_bytes())
    assert check(root) == 2
    shown = capsys.readouterr().out
    for kind in ("orphan", "unreadable", "constant", "shape", "duplicate"):
        assert f"[{kind}]" in shown, kind
    assert str(tmp_path) not in shown.replace(str(root), "")


def test_check_counts_every_file(ct_pairs: Path, ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    root = spoiled(ct_pairs, tmp_path)
    for path in sorted((root / "lq").glob("*.png"))[:3]:
        path.unlink()
    assert check(root) == 2
    shown = capsys.readouterr().out
    assert "(and 2 more here): has no partner in lq" in shown and "| orphan | 3 |" in shown
    for side in ("lq", "gt"):
        shutil.copytree(ct_tree, tmp_path / "dicom" / side)
    for path in sorted((tmp_path / "dicom" / "gt" / "0").glob("*.dcm")):
        data = dcmread(path)
        del data.RescaleSlope
        data.save_as(path)
    assert check(tmp_path / "dicom") == 2
    shown = capsys.readouterr().out
    assert "gt/0/slice000.dcm (and 2 more here): RescaleSlope" in shown and "| tags | 3 |" in shown


def test_check_sees_images_of_one_side_alone(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    root = spoiled(ct_pairs, tmp_path)
    for path in (*(root / "lq").glob("*.png"), *(root / "gt").glob("*.png")):
        path.rename(path.with_suffix(".PNG"))
    assert check(root) == 0
    assert "6 PNG pairs of 64×64" in capsys.readouterr().out
    shutil.copytree(root / "gt", root / "test" / "gt")
    assert check(root) == 2
    shown = capsys.readouterr().out
    assert "[orphan] test/gt/" in shown and "(and 5 more here): has no partner in lq" in shown
    shutil.rmtree(root / "lq")
    assert check(root) == 2
    shown = capsys.readouterr().err
    assert "PNG files of equal names; " in shown and shown.endswith("; 12 images have no partner\n")


def test_another_grid_is_well_where_it_will_be_resampled(ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    for side in ("lq", "gt"):
        shutil.copytree(ct_tree, tmp_path / side)
    for path in (tmp_path / "gt").rglob("*.dcm"):
        data = dcmread(path)
        data.PixelSpacing = [6.0, 6.0]
        data.RescaleIntercept = float(data.RescaleIntercept) - 1.0
        data.save_as(path)
    check(tmp_path)
    assert "pixels do not coincide" in capsys.readouterr().out
    check(tmp_path, "data.resample=true")
    assert "pixels do not coincide" not in capsys.readouterr().out


def test_check_finds_leakage_between_parts(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    for part in ("train", "test"):
        for side in ("lq", "gt"):
            image = np.random.default_rng(5 if part == "train" or side == "gt" else 6).random((64, 64), np.float32)
            write_png(tmp_path / part / side / f"{part}.png", image, 8)
    assert check(tmp_path) == 2
    assert "[leakage] train/gt/train.png: equal pixels in test/gt/test.png" in capsys.readouterr().out


def test_check_finds_swapped_sides(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    root = spoiled(ct_pairs, tmp_path)
    (root / "lq").rename(root / "x")
    (root / "gt").rename(root / "lq")
    (root / "x").rename(root / "gt")
    assert check(root) == 2
    assert "[swapped]" in capsys.readouterr().out


def test_check_of_series_finds_gaps_scale_and_leakage(ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    patient = Patient.draw(np.random.default_rng(0))
    hu = np.stack([draw_section(patient, level, 64, 6.25).hu for level in np.linspace(0.3, 0.7, 6)])
    assert check(ct_tree) == 0
    capsys.readouterr()
    gap = write_series(tmp_path / "gap", hu, 6.25, PatientID="A", StudyInstanceUID="1.1")
    gap[3].unlink()
    write_series(tmp_path / "scale", hu + 3, 6.25, PatientID="B", StudyInstanceUID="1.2", RescaleIntercept=0)
    copied = hu + 5
    copied[2] = hu[1]
    write_series(tmp_path / "copy", copied, 6.25, PatientID="C", StudyInstanceUID="1.3")
    assert check(tmp_path) == 2
    shown = capsys.readouterr().out
    assert "[gap]" in shown and "gap of 8 mm behind this slice in a series of 4 mm" in shown
    assert "[HU range] scale/slice000.dcm: the darkest hundredth" in shown
    assert "[leakage]" in shown and "of another patient" in shown
    assert MARKER not in shown


def test_check_counts_what_is_left_out(ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in sorted(ct_tree.rglob("*.dcm"))[:3]:
        data = dcmread(path)
        data.ImageType = ["DERIVED", "SECONDARY", "MPR"]
        data.save_as(tmp_path / path.name)
    assert check(tmp_path) == 2
    assert "left out: 3 derived (such as slice000.dcm)" in capsys.readouterr().out
    assert check(tmp_path / "nowhere") == 2
    assert "does not exist: name a folder, a file of one slice or volume" in capsys.readouterr().err


def test_without_a_folder_it_says_what_can_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("IPV2_BENCH_WEIGHTS", raising=False)
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fd_randconv, kid_x100_randconv: ready (no weights needed)"
    assert any(x.startswith("fid, kid_x100: missing, the columns stay empty (inception)") for x in lines)
    assert any(x.startswith("clip_fid_x100: missing") for x in lines)
    assert sum("get it: ipv2-bench check --download" in x for x in lines) == 2


def test_one_folder_at_a_time(ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", str(ct_tree), str(tmp_path)]) == 2
    assert "check takes one folder" in capsys.readouterr().err
    for setting, named in (
        ("data.windw=[0,1]", "check has no option 'windw': use one of"),
        ("trian.steps=1", "did you mean"),
        (f"data.low={tmp_path}", "does not use data.low"),
    ):
        assert main(["check", str(ct_tree), setting]) == 2
        assert named in capsys.readouterr().err
