"""Training and evaluating one denoiser use the same cells as the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipv2_bench.cli import main
from tests.conftest import Smoke
from tests.program import table


def test_train_and_evaluate_use_the_same_cells(smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "smoke", "--quiet", "--denoiser", "fm", *smoke.settings(tmp_path)]
    assert main(["train", *words, "--strategy", "IPv2"]) == 0
    name, _, file = capsys.readouterr().out.strip().partition(": ")
    assert name == "FM · IPv2 · seed 0" and Path(file).name == "model.safetensors" and Path(file).is_file()
    assert main(["evaluate", *words, "--strategy", "IPv2"]) == 0
    line = capsys.readouterr().out
    measured = next(x for x in table(smoke.out / "table1.csv") if x["strategy"] == "IPv2")
    assert f"| {float(measured['rmse_hu']):.3g} [" in line
    assert main(["evaluate", *words, "--strategy", "raw"]) == 2
    assert "FM · raw · seed 0 is not trained: run ipv2-bench train" in capsys.readouterr().err


def test_a_failed_training_is_one_line(smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "smoke", "--quiet", "--denoiser", "fm", *smoke.settings(tmp_path)]
    assert main(["train", *words, "train.lr=1e30"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("ipv2-bench: FM · IPv2 · seed 0 failed: ") and "lower train.lr" in said[-1]
