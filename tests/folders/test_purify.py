"""Purified pairs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench.cli import main
from ipv2_bench.data.formats.png import read_png, write_png
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.shared.checkpoint import save_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.folders.pairs import pairs_config
from ipv2_bench.physics.intensity import from_8bit
from ipv2_bench.purification import common_mask

SETTINGS = ("--quiet", "noise.views=32", "noise.calibrate=false", "data.fractions=[0.34,0.0,0.66]")
Capture = pytest.CaptureFixture[str]


def test_purify_writes_the_strategys_pairs(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(ct_pairs), str(out), "--strategy", "IPv1+1", *settings]) == 0
    assert "2 train, 0 val, 4 test pairs under IPv1+1, 16 bit" in capsys.readouterr().out
    normals = {p: read_png(p).unit for p in (ct_pairs / "gt").rglob("*.png")}
    seen = 0
    for path in sorted(out.glob("*/gt/*.png")):
        normal = read_png(path).unit
        nearest = min(normals, key=lambda p: np.abs(normals[p] - normal).max())
        assert np.abs(normals[nearest] - normal).max() < 1e-4  # slices are kept in steps of 1/8 HU
        origin = nearest.relative_to(ct_pairs / "gt")
        low = read_png(ct_pairs / "lq" / origin).unit
        mask = common_mask(low, normal, remove_background=True) / 255.0
        made = {side: read_png(path.parents[1] / side / path.name).unit for side in ("lq", "label")}
        assert np.abs(made["lq"] - (mask * normal + (1 - mask) * low)).max() < 1e-4
        assert np.abs(made["label"] - (mask * low + (1 - mask) * normal)).max() < 1e-4
        seen += 1
    assert seen == 6
    assert main(["purify", str(ct_pairs), str(out), "--strategy", "IPv1+1", *settings]) == 0
    assert "6 had been written before" in capsys.readouterr().out
    assert main(["purify", str(ct_pairs), str(out), "--strategy", "IPv1", *settings]) == 2
    assert "holds the output of another command or other settings" in capsys.readouterr().err


def test_labels_of_module_3_need_the_weak_denoiser(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(ct_pairs), str(tmp_path / "a"), *settings]) == 0
    assert "no folder label was written: module 3 needs --weak" in capsys.readouterr().out
    assert not list((tmp_path / "a").glob("*/label"))
    torch.manual_seed(0)
    weak = tmp_path / "weak.safetensors"
    save_denoiser(
        FlowMatching(widths=(8, 16), steps=2), weak, "fm", {"widths": [8, 16], "steps": 2}, window_hu="-1000 400"
    )
    assert main(["purify", str(ct_pairs), str(tmp_path / "b"), "--weak", str(weak), *settings]) == 0
    assert len(list((tmp_path / "b").glob("*/label/*.png"))) == 6
    save_denoiser(
        FlowMatching(widths=(8, 16), steps=2), weak, "fm", {"widths": [8, 16], "steps": 2}, window_hu="-1350 150"
    )
    assert main(["purify", str(ct_pairs), str(tmp_path / "c"), "--weak", str(weak), *settings]) == 2
    assert "set data.window" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["dicom", "png16"])
def test_what_simulate_wrote_is_purified_without_further_words(ct_tree: Path, tmp_path: Path, form: str) -> None:
    words = ["simulate", str(ct_tree), str(tmp_path / "sim"), "--quiet", "--format", form]
    assert main([*words, "data.views=48", "data.photons=4000"]) == 0
    done = ["purify", str(tmp_path / "sim"), str(tmp_path / "out"), "--quiet", "--strategy", "IPv1"]
    assert main([*done, f"run.work={tmp_path / 'w'}"]) == 0
    for side in ("lq", "gt", "label"):
        assert len(list((tmp_path / "out").glob(f"*/{side}/*.png"))) == 6


def test_a_configuration_may_say_more(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}", "data.size=64", "data.split=slice")
    assert main(["purify", str(ct_pairs), str(tmp_path / "out"), "--config", "paper", "--bits", "8", *settings]) == 0
    assert "pairs under IPv2, 8 bit, HU -1000 to 400" in capsys.readouterr().out
    assert all(read_png(p).bits == 8 for p in (tmp_path / "out").rglob("*.png"))


def test_settings_are_read_from_the_folder(ct_pairs: Path, tmp_path: Path) -> None:
    config = pairs_config(ct_pairs, None, ["data.size=32", "train.batch_size=3"])
    assert (config.data.source, config.data.split, config.data.size) == ("paired_png", "slice", 32)
    assert config.data.options == {"root": str(ct_pairs)} and config.train.batch_size == 3
    assert pairs_config(ct_pairs, None, []).data.size == 64
    for part in ("train", "test"):
        for side in ("lq", "gt"):
            (tmp_path / part / side).mkdir(parents=True)
            (tmp_path / part / side / "a.png").write_bytes(next((ct_pairs / side).glob("*.png")).read_bytes())
    assert pairs_config(tmp_path, None, []).data.split == "folder"
    (tmp_path / "empty").mkdir()
    for folder, named in (("nowhere", "does not exist"), ("empty", "expected folders lq and gt, or Full Dose and Low Dose")):
        with pytest.raises(InputError, match=named):
            pairs_config(tmp_path / folder, None, [])


def test_dicom_pairs_are_read_too(
    ct_tree: Path, tmp_path: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = tmp_path / "pairs"
    scan = ("data.views=48", "data.photons=17000")
    assert main(["simulate", str(ct_tree), str(pairs), "--format", "dicom", "--quiet", *scan]) == 0
    (pairs / "lq" / "readme.txt").write_text("notes")
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}", "data.derived=true")
    assert main(["purify", str(pairs), str(tmp_path / "out"), "--strategy", "IPv1", *settings]) == 0
    assert sum("readme.txt" in record.getMessage() for record in caplog.records) == 1
    assert "2 train, 0 val, 4 test pairs under IPv1, 16 bit" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*/label/*.png"))) == 6
    weak, options = tmp_path / "weak.safetensors", {"width": 8, "modulator": 4, "steps": 2, "context": 3}
    save_denoiser(CoreDiff(**options), weak, "corediff", options, window_hu="-1000 400")
    assert main(["purify", str(pairs), str(tmp_path / "near"), "--weak", str(weak), *settings]) == 0
    assert len(list((tmp_path / "near").glob("*/label/*.png"))) == 6


def test_labels_of_a_weak_denoiser_that_draws_are_the_same_again(
    ct_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawing(self: FlowMatching, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return low + 0.1 * torch.randn(low.shape, generator=generator)

    monkeypatch.setattr(FlowMatching, "denoise", drawing)
    weak, options = tmp_path / "weak.safetensors", {"widths": [8, 16], "steps": 2}
    save_denoiser(FlowMatching(widths=(8, 16), steps=2), weak, "fm", options, window_hu="-1000 400")
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}", "--weak", str(weak))
    for out in ("a", "b"):
        assert main(["purify", str(ct_pairs), str(tmp_path / out), *settings]) == 0
    labels = sorted((tmp_path / "a").glob("*/label/*.png"))
    assert len(labels) == 6
    for path in labels:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_truncated_levels_are_those_of_the_files(tmp_path: Path) -> None:
    """Slices are kept in steps of 1/8 HU, which may lie a little below the level of the file that they are of."""
    levels = np.arange(256, dtype=np.uint8).repeat(16).reshape(64, 64)
    for i in range(6):
        for side in ("lq", "gt"):
            image = np.roll(levels, 5 * i + 40 * (side == "gt"), axis=0)
            write_png(tmp_path / "pairs" / side / f"{i}.png", from_8bit(image), 8)
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}", "--strategy", "raw", "--bits", "8", "--grey", "truncate")
    assert main(["purify", str(tmp_path / "pairs"), str(tmp_path / "out"), *settings]) == 0
    for side in ("lq", "gt"):
        written = {read_png(p).unit.tobytes() for p in (tmp_path / "out").glob(f"*/{side}/*.png")}
        assert written == {read_png(p).unit.tobytes() for p in (tmp_path / "pairs" / side).glob("*.png")}


def test_pairs_with_endings_in_capitals_are_read(ct_pairs: Path, tmp_path: Path, capsys: Capture) -> None:
    for side in ("lq", "gt"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for path in (ct_pairs / side).glob("*.png"):
            (tmp_path / "pairs" / side / f"{path.stem}.PNG").write_bytes(path.read_bytes())
    settings = (*SETTINGS, f"run.work={tmp_path / 'w'}")
    assert main(["purify", str(tmp_path / "pairs"), str(tmp_path / "out"), "--strategy", "IPv1", *settings]) == 0
    assert "2 train, 0 val, 4 test pairs" in capsys.readouterr().out
    assert main(["purify", str(tmp_path / "pairs"), str(tmp_path / "o"), *settings, "data.window=[400,-1000]"]) == 2
    assert capsys.readouterr().err == "ipv2-bench: data.window: HU window [400.0, -1000.0] is empty: give low < high\n"
