"""The command ``calibrate``: what it prints, writes and refuses, and the measures in its picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.tasks.calibrate import noise_by_radius, noise_power
from ipv2_bench.cli import main
from ipv2_bench.physics.closed_form import noise_power as closed_noise_power
from tests.conftest import Smoke


@pytest.fixture
def words(smoke: Smoke, tmp_path: Path) -> list[str]:
    return ["calibrate", "--quiet", "--config", "smoke", *smoke.settings(tmp_path / "out")]


def test_calibrate_writes_its_result(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    target = tmp_path / "mine.yaml"
    assert main([*words, "--write", str(target), "noise.dose=0.04"]) == 0
    out = capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "smoke" / "calibration.json").read_text())
    assert f"photons at full dose: {result['photons']:.4g}" in out
    low, high = result["interval_95"]
    assert low < result["photons"] < high
    levels = result["levels_hu"]["lung"]
    assert levels["simulated"] == pytest.approx(levels["uldct"], rel=0.15)  # one draw of a few small slices
    with Image.open(tmp_path / "out" / "smoke" / "calibration.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    assert "smoke.yaml with module 2 calibrated" in target.read_text().splitlines()[0]
    config = load_config(target)
    assert config.noise.photons == result["photons"] and not config.noise.calibrate
    assert config.noise.dose == 0.04  # what was given on the command line stays
    assert config.data == load_config("smoke").data
    assert [t.key for t in load_tables(config)] == ["table1", "table2", "table3"]
    assert main([*words, "--write", str(target)]) == 2
    assert "exists: remove it or name another file" in capsys.readouterr().err


def test_calibrate_works_from_the_uldct_alone(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main([*words, "--low-alone"]) == 0
    assert "photons at full dose" in capsys.readouterr().out


def test_the_published_model_has_nothing_to_calibrate(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main([*words, "noise.dose_model=published"]) == 2
    assert "its flux is fixed" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["noise.dose=0.0", "noise.dose=2.0", "noise.photons=-1.0", "noise.quantum=bose"])
def test_impossible_noise_is_refused(words: list[str], setting: str, capsys: pytest.CaptureFixture) -> None:
    assert main([*words, setting]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ipv2-bench: noise: ") and setting.split("=")[1].rstrip("0").rstrip(".") in said


def test_white_noise_has_a_flat_spectrum_and_profile() -> None:
    images = np.random.default_rng(0).normal(0, 3.0, (20, 64, 64))
    everywhere = [np.ones((64, 64), bool)] * 20
    frequency, power = noise_power(images, everywhere)
    assert frequency[-1] == 0.5
    np.testing.assert_allclose(power[1:], 9.0, rtol=0.1)
    _, level = noise_by_radius(images, everywhere)
    assert np.nanmax(level) < 1.1 * np.nanmin(level)
    assert all(len(x) == 0 for x in noise_power(images, [np.zeros((64, 64), bool)] * 20))


def test_the_closed_form_has_the_filters() -> None:
    nu = np.array([0.0, 0.25, 0.5])
    np.testing.assert_allclose(closed_noise_power(nu, 100, "ram-lak"), np.pi / 100 * nu)
    np.testing.assert_allclose(
        closed_noise_power(nu, 100, "hann", 2.0), 2 * np.pi / 100 * nu * [1, 0.25, 0], atol=1e-12
    )
    with pytest.raises(ValueError, match="'box' is unknown"):
        closed_noise_power(nu, 100, "box")
