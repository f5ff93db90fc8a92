"""A denoised folder is that of the slices it was made of, and PNG files are found whatever the case of their ending."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.cli import main
from ipv2_bench.data.formats.png import read_png, write_png

Capture = pytest.CaptureFixture[str]


def denoise(source: Path, out: Path) -> int:
    return main(["denoise", "--quiet", str(source), str(out), "--checkpoint", "identity"])


def slices(folder: Path, seed: int, names: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    rng = np.random.default_rng(seed)
    for name in names:
        write_png(folder / name, rng.random((16, 16), np.float32), 8)
    return folder


def test_other_slices_of_the_same_names_are_refused(tmp_path: Path, capsys: Capture) -> None:
    first, other, out = slices(tmp_path / "first", 0), slices(tmp_path / "other", 1), tmp_path / "out"
    assert denoise(first, out) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / "b.png").unlink()
    capsys.readouterr()
    assert denoise(other, out) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "not a medical device" not in line]
    assert said.startswith(f"ipv2-bench: OUT {out} holds the output of ") and said.endswith("name another folder")
    assert not (out / "b.png").exists()
    # The same slices go on, wherever they are.
    moved = Path(shutil.move(first, tmp_path / "moved"))
    assert denoise(moved, out) == 0
    assert "1 slices denoised" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_endings_in_capitals_are_seen(tmp_path: Path, capsys: Capture) -> None:
    source = slices(tmp_path / "in", 0, ("a.PNG", "b.png", "c/d.Png"))
    assert denoise(source, tmp_path / "out") == 0
    assert "3 slices denoised" in capsys.readouterr().out
    for name in ("a.PNG", "b.png", "c/d.Png"):
        assert np.array_equal(read_png(tmp_path / "out" / name).unit, read_png(source / name).unit)
