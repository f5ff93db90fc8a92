"""Whatever is wrong with the input ends in one clear line and exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.cli import main
from ipv2_bench.data.thorax import Patient, draw_section
from tests.dicom_files import write_series

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SMOKE = ("--config", str(EXPERIMENTS / "smoke.yaml"))


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
    config = str(EXPERIMENTS / "virtual_scan.yaml")
    return ("--config", config, f"data.root={root}", "data.size=64", "data.views=32", "noise.views=32", *settings)


def test_no_root(refused) -> None:
    assert "set data.root=FOLDER" in refused("--config", str(EXPERIMENTS / "virtual_scan.yaml"))


def test_missing_folder(refused, tmp_path: Path) -> None:
    assert "set data.root" in refused(*scan(tmp_path / "nowhere"))


def test_empty_folder(refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "DICOM" in refused(*scan(tmp_path / "empty"))


def test_single_patient(refused, tmp_path: Path, thorax: np.ndarray) -> None:
    write_series(tmp_path / "ct" / "a", thorax, 6.25)
    assert "has 1 patient: a split by patient into train, test needs at least 2" in refused(*scan(tmp_path / "ct"))


def test_all_problems_stand_in_one_list(refused, tmp_path: Path, thorax: np.ndarray) -> None:
    write_series(tmp_path / "ct" / "rescale", thorax, 6.25, RescaleSlope=None)
    cut = write_series(tmp_path / "ct" / "cut", thorax + 1, 6.25)[2]
    cut.write_bytes(cut.read_bytes()[:-3000])
    mixed = write_series(tmp_path / "ct" / "mixed", thorax + 2, 6.25)
    mixed[1].unlink()
    other = write_series(tmp_path / "ct" / "other", thorax[:, :32, :32], 6.25)
    told = refused(*scan(tmp_path / "ct"))
    assert "problems in the data set" in told
    assert "RescaleSlope" in told and "slice002.dcm" in told
    assert str(tmp_path) not in told and len(other) == 4


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--config", "nowhere.yaml"), "nowhere.yaml is not there"),
        ((*SMOKE, "train.step=3"), "setting 'train.step' is unknown: use one of train.steps"),
        ((*SMOKE, "data.patient=3"), "phantom has no option 'patient': use one of"),
        ((*SMOKE, "data.source=mri"), "'mri' is unknown: use one of paired_png, phantom"),
        ((*SMOKE, "denoisers.fm.depth=3"), "denoiser fm has no option 'depth': use one of"),
        ((*SMOKE, "--tables", "7"), "table 7 is unknown: use one of 1, 2, 3"),
        ((*SMOKE, "wandb.mode=cloud"), "wandb.mode is 'cloud': use one of auto"),
        ((*SMOKE, "noise.filter_name=box"), "filter_name 'box' is unknown"),
        ((*SMOKE, "data.size=-3"), "data.size"),
        ((*SMOKE, "train.batch_size=0"), "train.batch_size"),
    ],
)
def test_wrong_settings(refused, words: tuple[str, ...], told: str) -> None:
    assert told in refused(*words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--denoiser", "fmm"), "denoiser 'fmm' is unknown: use one of cold_diffusion, corediff, ffm, fm"),
        (("--denoiser", "nowhere.at:All"), "module 'nowhere.at'"),
        (("--denoiser", "fm", "--strategy", "IPv3"), "strategy 'IPv3' is unknown: use one of raw, IPv1"),
        (("--denoiser", "fm", "--background", "none"), "background 'none' is unknown: use one of flood_fill"),
    ],
)
def test_unknown_names(words, told, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--quiet", *SMOKE, *words]) == 2
    assert told in capsys.readouterr().err
