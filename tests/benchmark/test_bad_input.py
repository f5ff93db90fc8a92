"""Whatever is wrong with the input ends in one clear line and exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
        ((*SMOKE, "data.source=mri"), "'mri' is unknown: use one of paired_dicom, paired_png, phantom"),
        ((*SMOKE, "denoisers.fm.depth=3"), "denoiser fm has no option 'depth': use one of"),
        ((*SMOKE, "--tables", "7"), "table 7 is unknown: use one of 1, 2, 3"),
        ((*SMOKE, "wandb.mode=cloud"), "wandb.mode is 'cloud': use one of auto"),
        ((*SMOKE, "noise.filter_name=box"), "filter_name 'box' is unknown"),
        ((*SMOKE, "data.size=-3"), "data.size"),
        ((*SMOKE, "train.batch_size=0"), "train.batch_size"),
        ((*SMOKE, "train.precision=bf16"), "train.precision is 'bf16': use one of 32-true, 16-mixed, bf16-mixed"),
        ((*SMOKE, "data.size=50"), "data.size is 50: denoiser"),
        ((*SMOKE, "run.weights=nowhere"), "run.weights is 'nowhere': there is no such folder"),
    ],
)
def test_wrong_settings(refused, words: tuple[str, ...], told: str) -> None:
    assert told in refused(*words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rows: 5", "rows is no list of rows"),
        ("rows: [x]", "rows is no list of rows"),
        ("rows: [{denoiser: fm, strategy: [a]}]", "must be words"),
        ("rows: [{denoiser: 5, strategy: IPv2}]", "must be words"),
        ("images: label\nrows: [{strategy: raw}]", "strategy raw has no purified label"),
        (
            "published: numbers.csv\nrows: [{denoiser: fm, strategy: IPv2}]",
            "numbers.csv is no table of published numbers",
        ),
    ],
)
def test_tables_that_are_none(refused, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "table1.yaml").write_text(text + "\n")
    (tmp_path / "numbers.csv").write_text("label,denoiser\nNDCT,FM\n")
    (tmp_path / "mine.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
    assert told in refused("--config", "mine.yaml")


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
    config = tmp_path / "mine.yaml"
    text = (EXPERIMENTS / "paper.yaml").read_text()
    config.write_text(text)
    for table in EXPERIMENTS.glob("table*.yaml"):
        (tmp_path / table.name).write_text(table.read_text().replace("published:", "# published:"))
    small = ("noise.views=32", "data.fractions=[0.5,0.0,0.5]", *words)
    assert "are the two swapped?" in refused("--config", str(config), *small)


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
