"""Virtual scans and purified pairs on disk, and the check of what lies there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread

from ipv2_bench.cli import main
from ipv2_bench.data.dicom import read_tree
from ipv2_bench.data.png import read_png, write_png
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.denoisers.checkpoint import save_denoiser
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import common_mask
from tests.dicom_files import MARKER, write_series

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
VIRTUAL = ("--config", str(EXPERIMENTS / "virtual_scan.yaml"), "--quiet")
PAPER = ("--config", str(EXPERIMENTS / "paper.yaml"), "--quiet")
SETTINGS = ("data.size=64", "noise.views=32", "noise.calibrate=false", "data.fractions=[0.34,0.0,0.66]")
SIZE = 64


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of three slices, 64×64."""
    root = tmp_path_factory.mktemp("ct") / "scans"
    for p in range(2):
        patient = Patient.draw(np.random.default_rng(p))
        hu = np.stack([draw_section(patient, level, SIZE, 6.25).hu for level in (0.4, 0.5, 0.6)])
        write_series(root / str(p), hu, 6.25, PatientID=f"{MARKER}{p}")
    return root


@pytest.fixture(scope="module")
def pairs(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What simulate writes, 16 bit."""
    out = tmp_path_factory.mktemp("pairs") / "out"
    assert main(["simulate", str(scans), str(out), *VIRTUAL, "data.views=48"]) == 0
    return out


def test_simulate_writes_what_the_virtual_scan_gives(scans: Path, pairs: Path, tmp_path: Path) -> None:
    files = {
        side: sorted(p.relative_to(pairs / side) for p in (pairs / side).rglob("*.png"))
        for side in ("lq", "gt", "truth")
    }
    assert files["lq"] == files["gt"] == files["truth"] and len(files["lq"]) == 6
    wanted = VirtualScan(str(scans), views=48).slices(tmp_path, Window(), SIZE)
    for key, low, normal, truth in zip(wanted.key, wanted.low, wanted.normal, wanted.truth, strict=True):
        for side, image in (("lq", low), ("gt", normal), ("truth", truth)):
            found = read_png(pairs / side / f"{key}.png")
            assert found.bits == 16 and np.abs(found.unit - image).max() <= 0.51 / 65535


def test_simulated_dicom_is_read_again_and_tells_no_identity(scans: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    words = ["simulate", str(scans), str(out), "--format", "dicom", *VIRTUAL, "data.views=48"]
    assert main(words) == 0
    assert "6 slices of 2 series scanned" in capsys.readouterr().out
    assert not any(MARKER.encode() in p.read_bytes() for p in out.rglob("*") if p.is_file())
    low, normal = (read_tree(out / side, derived=True) for side in ("lq", "gt"))
    assert [len(s.hu) for s in low] == [3, 3]
    originals = read_tree(scans)
    assert all(any(np.array_equal(n.hu, o.hu) for o in originals) for n in normal)
    assert all(s.spacing_mm == 6.25 and np.allclose(np.diff(s.position_mm), 4.0) for s in low)
    assert low[0].hu.std() > normal[0].hu.std() * 0.9
    (out / "lq" / low[0].names[0]).unlink()
    assert main(words) == 0
    assert "1 slices of 2 series scanned, 5 were there" in capsys.readouterr().out
    # The two trees are pairs as they stand.
    check = ["check", str(out), "--quiet"]
    assert main(check) == 0, capsys.readouterr().out
    assert "3 common heights" in capsys.readouterr().out


def test_purify_writes_the_strategys_pairs(pairs: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(pairs), str(out), "--strategy", "IPv1+1", *PAPER, *settings]) == 0
    assert "2 train, 0 val, 4 test pairs under IPv1+1, 16 bit" in capsys.readouterr().out
    sources = {side: {read_png(p).unit.tobytes(): p for p in (pairs / side).rglob("*.png")} for side in ("lq", "gt")}
    seen = 0
    for path in sorted(out.glob("*/gt/*.png")):
        normal = read_png(path).unit
        origin = sources["gt"][normal.tobytes()].relative_to(pairs / "gt")
        low = read_png(pairs / "lq" / origin).unit
        mask = common_mask(low, normal, remove_background=True) / 255.0
        made = {side: read_png(path.parents[1] / side / path.name).unit for side in ("lq", "label")}
        assert np.abs(made["lq"] - (mask * normal + (1 - mask) * low)).max() < 1e-4
        assert np.abs(made["label"] - (mask * low + (1 - mask) * normal)).max() < 1e-4
        seen += 1
    assert seen == 6
    assert main(["purify", str(pairs), str(out), "--strategy", "IPv1+1", *PAPER, *settings]) == 0
    assert "6 were there" in capsys.readouterr().out
    assert main(["purify", str(pairs), str(out), "--strategy", "IPv1", *PAPER, *settings]) == 2


def test_labels_of_module_3_need_the_weak_denoiser(pairs: Path, tmp_path: Path, capsys) -> None:
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(pairs), str(tmp_path / "a"), *PAPER, *settings]) == 0
    assert "no folder label was written: module 3 needs --weak" in capsys.readouterr().out
    assert not list((tmp_path / "a").glob("*/label"))
    torch.manual_seed(0)
    weak = tmp_path / "weak.safetensors"
    save_denoiser(
        FlowMatching(widths=(8, 16), steps=2), weak, "fm", {"widths": [8, 16], "steps": 2}, window_hu="-1000 400"
    )
    assert main(["purify", str(pairs), str(tmp_path / "b"), "--weak", str(weak), *PAPER, *settings]) == 0
    assert len(list((tmp_path / "b").glob("*/label/*.png"))) == 6
    save_denoiser(
        FlowMatching(widths=(8, 16), steps=2), weak, "fm", {"widths": [8, 16], "steps": 2}, window_hu="-1350 150"
    )
    assert main(["purify", str(pairs), str(tmp_path / "c"), "--weak", str(weak), *PAPER, *settings]) == 2
    assert "set data.window" in capsys.readouterr().err


def check(root: Path, *words: str) -> int:
    return main(["check", str(root), "--quiet", *words])


def test_check_of_good_pairs_and_its_picture(pairs: Path, tmp_path: Path, capsys) -> None:
    assert check(pairs, "--picture", str(tmp_path / "c.png")) == 0
    shown = capsys.readouterr().out
    assert "6 PNG pairs of 64×64, 16 bit" in shown and "no problem found" in shown and "| lung |" in shown
    picture = read_png(tmp_path / "c.png").unit
    assert picture.shape[0] > 300 and picture.std() > 0.1


def spoiled(pairs: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(pairs, tmp_path / "p", ignore=shutil.ignore_patterns("truth"))
    return tmp_path / "p"


def test_check_lists_everything_at_once(pairs: Path, tmp_path: Path, capsys) -> None:
    root = spoiled(pairs, tmp_path)
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


def test_check_finds_leakage_between_parts(pairs: Path, tmp_path: Path, capsys) -> None:
    for part in ("train", "test"):
        for side in ("lq", "gt"):
            image = np.random.default_rng(5 if part == "train" or side == "gt" else 6).random((64, 64), np.float32)
            write_png(tmp_path / part / side / f"{part}.png", image, 8)
    assert check(tmp_path) == 2
    assert "[leakage] train/gt/train.png: equal pixels in test/gt/test.png" in capsys.readouterr().out


def test_check_finds_swapped_sides(pairs: Path, tmp_path: Path, capsys) -> None:
    root = spoiled(pairs, tmp_path)
    (root / "lq").rename(root / "x")
    (root / "gt").rename(root / "lq")
    (root / "x").rename(root / "gt")
    assert check(root) == 2
    assert "[swapped]" in capsys.readouterr().out


def test_check_of_series_finds_gaps_scale_and_leakage(scans: Path, tmp_path: Path, capsys) -> None:
    patient = Patient.draw(np.random.default_rng(0))
    hu = np.stack([draw_section(patient, level, SIZE, 6.25).hu for level in np.linspace(0.3, 0.7, 6)])
    assert check(scans) == 0
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


def test_check_counts_what_is_left_out(scans: Path, tmp_path: Path, capsys) -> None:
    for path in sorted(scans.rglob("*.dcm"))[:3]:
        data = dcmread(path)
        data.ImageType = ["DERIVED", "SECONDARY", "MPR"]
        data.save_as(tmp_path / path.name)
    assert check(tmp_path) == 2
    assert "3 derived left out" in capsys.readouterr().out
    assert check(tmp_path / "nowhere") == 2
    assert "is not there" in capsys.readouterr().err
