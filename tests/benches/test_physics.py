"""The benchmark of the physics, at sizes that take a second."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.benches import physics as bench
from tests.benches.physics_accuracy import accuracy, noise_spectra
from tests.benches.physics_share import share_of_training


def test_growth_finds_the_exponent() -> None:
    lines = [
        {"method": "ours", "device": device, "size": n, "slices_per_second": 1e6 / (n**power * np.log(n))}
        for device, power in (("cpu", 3), ("gpu", 2))
        for n in (128, 256, 512, 1024)
    ]
    assert bench.growth(lines, "ours") == pytest.approx(2.0, abs=1e-9)


def test_our_projection_and_round_trip_beat_scikit_image() -> None:
    errors = accuracy(129, 180)
    assert errors["projection, relative RMS"] < 0.9 * errors["projection, relative RMS, scikit-image"]
    assert errors["projection and FBP, RMSE"] < 0.5 * errors["projection and FBP, RMSE, scikit-image"]
    assert errors["FBP of the closed form, error of the mean"] < 1e-4


def test_our_noise_is_the_closed_form_where_interpolation_smooths() -> None:
    spectra = noise_spectra(96, 120, 60)
    inner = (spectra["frequency"] > 0.06) & (spectra["frequency"] < 0.45)
    np.testing.assert_allclose(spectra["ours"][inner], spectra["closed form"][inner], rtol=0.15)
    top = spectra["frequency, scikit-image"] > 0.35
    assert spectra["scikit-image"][top].mean() < 0.7 * spectra["ours"][spectra["frequency"] > 0.35].mean()


def test_the_share_of_purification_is_measured() -> None:
    share = share_of_training(Path(__file__).parents[2] / "experiments" / "smoke.yaml", batches=3)
    assert share["configuration"] == "smoke.yaml"
    assert 0 < share["share"] < 1 and share["step_ms"] > 0


def test_the_command_writes_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--out", str(tmp_path), "--sizes", "32"])
    monkeypatch.setattr(bench, "VIEWS", 32)
    monkeypatch.setattr(bench, "peak_mb", lambda *_: 1.0)  # three processes; tested in test_memory
    monkeypatch.setattr(bench, "accuracy", lambda: {"projection": 0.1})
    monkeypatch.setattr(bench, "share_of_training", lambda _: {"configuration": "quick.yaml", "share": 0.05})
    threads = torch.get_num_threads()
    bench.main()
    assert torch.get_num_threads() == threads
    name = "physics-cuda" if torch.cuda.is_available() else "physics"
    result = json.loads((tmp_path / f"{name}.json").read_text())
    methods = [x["method"] for x in result["speed"]][:4]
    assert methods == [bench.PUBLISHED, "ours, dose_model=published", "ours", "ours, projection kept"]
    assert [x["device"] for x in result["speed"]][:2] == ["cpu, one thread"] * 2
    assert all(x["slices_per_second"] > 0 for x in result["speed"])
    assert torch.cuda.is_available() or result["gpu"] == "unmeasured"
    assert "× published" in (tmp_path / f"{name}.md").read_text() and (tmp_path / f"{name}.png").exists()
