"""The benchmark of simple filters, small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.prepared import Slices
from ipv2_bench.errors import InputError
from tests.benches import filters as bench


def test_the_command_writes_what_filters_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = f"run.work={tmp_path}"
    monkeypatch.setattr(sys, "argv", ["bench", "--config", "smoke", "--out", str(tmp_path), work])
    bench.main()
    result = json.loads((tmp_path / "filters_smoke.json").read_text())
    untouched, *filtered = result["filters"]
    opened = Slices.open(load_config("smoke", [work]), progress=False)
    low, truth = (np.stack([x[i] for i in opened.split.test]) for x in (opened.slices.low, opened.slices.truth))
    expected = bench.rmse_hu(low, truth, opened.window.width).mean()
    assert untouched["rmse_hu"] == pytest.approx(expected, abs=0.01) and untouched["strength"] is None
    assert [x["filter"].split(" (")[0] for x in filtered] == ["Gaussian", "total variation", "non-local means"]
    assert all(x["strength"] > 0 and 10 < x["rmse_hu"] < untouched["rmse_hu"] for x in filtered)
    assert "| Gaussian (σ in pixels) |" in capsys.readouterr().out


def test_strengths_are_not_chosen_on_test_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("smoke", [f"run.work={tmp_path}"])
    monkeypatch.setattr(bench, "FILTERS", bench.FILTERS[:1])
    (_, before) = bench.floor_of(config, progress=False)["filters"]
    opened = Slices.open(config, progress=False)
    test = set(opened.split.test.tolist())
    seen: list[int] = []

    class Watched:
        """Slices that say which of them is read."""

        def __init__(self, images: object) -> None:
            self.images = images

        def __getitem__(self, i: int) -> np.ndarray:
            seen.append(int(i))
            return self.images[i] if i not in test else np.zeros_like(self.images[i])  # type: ignore[index]

    blank = Slices(opened.window, opened.slices, opened.splits)
    for name in ("low", "truth"):
        object.__setattr__(blank.slices, name, Watched(getattr(blank.slices, name)))
    monkeypatch.setattr(bench.Slices, "open", lambda *_: blank)
    (_, after) = bench.floor_of(config, progress=False)["filters"]
    assert test < set(seen)
    assert after["strength"] == before["strength"] and after["rmse_hu_training"] == before["rmse_hu_training"]
    assert after["rmse_hu"] == 0.0


def test_a_strength_at_the_end_of_those_tried_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gaussian = bench.FILTERS[0]
    narrow = bench.Filter(gaussian.title, gaussian.strength, (2.0, 3.0), gaussian.apply)
    monkeypatch.setattr(bench, "FILTERS", (narrow,))
    with pytest.raises(InputError, match="Gaussian: the best strength, 2, is at an end of those tried"):
        bench.floor_of(load_config("smoke", [f"run.work={tmp_path}"]), progress=False)


def test_data_without_truth_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("smoke", [f"run.work={tmp_path}"])
    opened = Slices.open(config, progress=False)
    object.__setattr__(opened.slices, "truth", None)
    monkeypatch.setattr(bench.Slices, "open", lambda *_: opened)
    with pytest.raises(InputError, match="knows no truth: use phantom or virtual_scan"):
        bench.floor_of(config, progress=False)
