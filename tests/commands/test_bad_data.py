"""Whatever is wrong with the data ends in one clear message and exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.cli import main
from ipv2_bench.data.thorax import Patient, draw_section
from tests.dicom_files import write_series


@pytest.fixture(scope="module")
def thorax() -> np.ndarray:
    patient = Patient.draw(np.random.default_rng(1))
    return np.stack([draw_section(patient, level, 64, 6.25).hu for level in (0.4, 0.5, 0.6, 0.7)])


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IPV2_BENCH_CT", raising=False)

    def run(*words: str) -> str:
        assert main(["reproduce", "--quiet", *words]) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and "Traceback" not in shown.err and shown.err.startswith("ipv2-bench: ")
        return shown.err

    return run


def scan(root: Path, *settings: str) -> tuple[str, ...]:
    return ("--config", "variants_ct", f"data.root={root}", "data.size=64", "data.views=32", "noise.views=32", *settings)


def test_no_root(refused) -> None:
    assert "set data.root=FOLDER" in refused("--config", "variants_ct")


def test_missing_folder(refused, tmp_path: Path) -> None:
    assert "set data.root" in refused(*scan(tmp_path / "nowhere"))


def test_empty_folder(refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "DICOM" in refused(*scan(tmp_path / "empty"))


def test_single_patient(refused, tmp_path: Path, thorax: np.ndarray) -> None:
    write_series(tmp_path / "ct" / "a", thorax, 6.25)
    assert "has 1 patient: a split by patient into train, test needs at least 2" in refused(*scan(tmp_path / "ct"))


def test_all_problems_are_in_one_list(refused, tmp_path: Path, thorax: np.ndarray) -> None:
    write_series(tmp_path / "ct" / "rescale", thorax, 6.25, RescaleSlope=None)
    cut = write_series(tmp_path / "ct" / "cut", thorax + 1, 6.25)[2]
    cut.write_bytes(cut.read_bytes()[:-3000])
    mixed = write_series(tmp_path / "ct" / "mixed", thorax + 2, 6.25)
    mixed[1].unlink()
    other = write_series(tmp_path / "ct" / "other", thorax[:, :32, :32], 6.25)
    said = refused(*scan(tmp_path / "ct"))
    assert "problems in the data set" in said
    assert "RescaleSlope" in said and "slice002.dcm" in said
    assert str(tmp_path) not in said and len(other) == 4


def test_constant_slice(refused, tmp_path: Path, thorax: np.ndarray) -> None:
    for p, shift in enumerate((0, 3)):
        hu = thorax + shift
        hu[1] = -1000
        write_series(tmp_path / "ct" / str(p), hu, 6.25)
    assert "constant" in refused(*scan(tmp_path / "ct"))


def test_no_lung(refused, tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    water = np.where(x**2 + y**2 < 24**2, 0.0, -1000.0)
    for p in range(2):
        write_series(tmp_path / "ct" / str(p), np.stack([water + p, water + 2 + p]), 6.25)
    assert "shows lung" in refused(*scan(tmp_path / "ct"))


def test_swapped_pairs_have_no_noise_to_calibrate_to(refused, tmp_path: Path, thorax: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for i in range(8):
        hu = thorax[i % 4]
        for side, noise in (("lq", 0.0), ("gt", 100.0)):
            folder = tmp_path / "pairs" / ("train" if i < 4 else "test") / side
            folder.mkdir(parents=True, exist_ok=True)
            gray = np.clip((hu + noise * rng.standard_normal(hu.shape) + 1000) / 1400 * 255, 0, 255)
            Image.fromarray(gray.astype(np.uint8)).save(folder / f"{i}.png")
    words = ("data.source=paired_png", "data.root=pairs", "data.pixel_mm=6", "data.size=64", "data.split=slice")
    small = ("noise.views=32", "data.fractions=[0.5,0.0,0.5]", *words)
    assert "are the two swapped?" in refused("--config", "paper", *small)


def test_sizes_that_a_denoiser_cannot_take(refused, tmp_path: Path) -> None:
    said = refused("--config", "smoke", "data.size=50")
    assert "data.size is 50: denoiser " in said and " in training, such as 5" in said
    assert not (tmp_path / "runs").exists()
