"""Virtual scans and purified pairs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ipv2_bench.cli import main
from ipv2_bench.data.dicom import read_tree
from ipv2_bench.data.png import read_png
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.denoisers.checkpoint import save_denoiser
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import common_mask
from tests.benchmark.disk_data import PAPER, SETTINGS, SIZE, VIRTUAL
from tests.dicom_files import MARKER


def test_simulate_writes_what_the_virtual_scan_gives(ct_tree: Path, ct_pairs: Path, tmp_path: Path) -> None:
    files = {
        side: sorted(p.relative_to(ct_pairs / side) for p in (ct_pairs / side).rglob("*.png"))
        for side in ("lq", "gt", "truth")
    }
    assert files["lq"] == files["gt"] == files["truth"] and len(files["lq"]) == 6
    wanted = VirtualScan(str(ct_tree), views=48).slices(tmp_path, Window(), SIZE)
    for key, low, normal, truth in zip(wanted.key, wanted.low, wanted.normal, wanted.truth, strict=True):
        for side, image in (("lq", low), ("gt", normal), ("truth", truth)):
            found = read_png(ct_pairs / side / f"{key}.png")
            assert found.bits == 16 and np.abs(found.unit - image).max() <= 0.51 / 65535


def test_simulated_dicom_is_read_again_and_tells_no_identity(ct_tree: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    words = ["simulate", str(ct_tree), str(out), "--format", "dicom", *VIRTUAL, "data.views=48"]
    assert main(words) == 0
    assert "6 slices of 2 series scanned" in capsys.readouterr().out
    assert not any(MARKER.encode() in p.read_bytes() for p in out.rglob("*") if p.is_file())
    low, normal = (read_tree(out / side, derived=True) for side in ("lq", "gt"))
    assert [len(s.hu) for s in low] == [3, 3]
    originals = read_tree(ct_tree)
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


def test_purify_writes_the_strategys_pairs(ct_pairs: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(ct_pairs), str(out), "--strategy", "IPv1+1", *PAPER, *settings]) == 0
    assert "2 train, 0 val, 4 test pairs under IPv1+1, 16 bit" in capsys.readouterr().out
    sources = {side: {read_png(p).unit.tobytes(): p for p in (ct_pairs / side).rglob("*.png")} for side in ("lq", "gt")}
    seen = 0
    for path in sorted(out.glob("*/gt/*.png")):
        normal = read_png(path).unit
        origin = sources["gt"][normal.tobytes()].relative_to(ct_pairs / "gt")
        low = read_png(ct_pairs / "lq" / origin).unit
        mask = common_mask(low, normal, remove_background=True) / 255.0
        made = {side: read_png(path.parents[1] / side / path.name).unit for side in ("lq", "label")}
        assert np.abs(made["lq"] - (mask * normal + (1 - mask) * low)).max() < 1e-4
        assert np.abs(made["label"] - (mask * low + (1 - mask) * normal)).max() < 1e-4
        seen += 1
    assert seen == 6
    assert main(["purify", str(ct_pairs), str(out), "--strategy", "IPv1+1", *PAPER, *settings]) == 0
    assert "6 were there" in capsys.readouterr().out
    assert main(["purify", str(ct_pairs), str(out), "--strategy", "IPv1", *PAPER, *settings]) == 2


def test_labels_of_module_3_need_the_weak_denoiser(ct_pairs: Path, tmp_path: Path, capsys) -> None:
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(ct_pairs), str(tmp_path / "a"), *PAPER, *settings]) == 0
    assert "no folder label was written: module 3 needs --weak" in capsys.readouterr().out
    assert not list((tmp_path / "a").glob("*/label"))
    torch.manual_seed(0)
    weak = tmp_path / "weak.safetensors"
    save_denoiser(
        FlowMatching(widths=(8, 16), steps=2), weak, "fm", {"widths": [8, 16], "steps": 2}, window_hu="-1000 400"
    )
    assert main(["purify", str(ct_pairs), str(tmp_path / "b"), "--weak", str(weak), *PAPER, *settings]) == 0
    assert len(list((tmp_path / "b").glob("*/label/*.png"))) == 6
    save_denoiser(
        FlowMatching(widths=(8, 16), steps=2), weak, "fm", {"widths": [8, 16], "steps": 2}, window_hu="-1350 150"
    )
    assert main(["purify", str(ct_pairs), str(tmp_path / "c"), "--weak", str(weak), *PAPER, *settings]) == 2
    assert "set data.window" in capsys.readouterr().err
