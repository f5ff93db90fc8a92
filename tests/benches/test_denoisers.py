"""The benchmark of the denoisers, small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from ipv2_bench.benchmark.config import load_config
from tests.benches import denoisers as bench
from tests.benches import solvers as bench_solvers
from tests.benches.sides import under
from tests.program import SMALL


def test_both_sides_agree_and_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--sizes", "32", "--denoisers", "corediff", "--repeats", "1", "--config", "", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    bench.main()
    suffix = "-cuda" if torch.cuda.is_available() else ""
    result = json.loads((tmp_path / f"denoisers{suffix}.json").read_text())
    (line, *_) = result["speed"]
    assert line["denoiser"] == "corediff" and line["network_calls"] == 10 and line["parameters_m"] == 4.82
    # 301 GFLOP at 512×512, as measured on the public code.
    assert line["gflop_per_call"] * (512 / 32) ** 2 == pytest.approx(301, rel=0.01)
    assert line["training_steps_per_s"] > 0 and line["seconds_per_slice"] > 0 and line["kept_mb"] > 0
    assert all(v < 1e-12 for v in result["agreement"]["corediff"].values())
    assert (result["gpu"] == "unmeasured") == (not torch.cuda.is_available())
    text = (tmp_path / f"denoisers{suffix}.md").read_text()
    assert "| corediff | 4.82 | 32 |" in text and "| corediff | " in text.partition("float64")[2]


@pytest.mark.parametrize(
    ("mode", "matmul", "cudnn", "half"),
    [
        ("float32", False, False, False),
        ("defaults", False, True, False),
        ("tf32", True, True, False),
        ("bf16", False, False, True),
        ("bf16, compiled", False, False, True),
    ],
)
def test_each_mode_has_its_precision(mode: str, matmul: bool, cudnn: bool, half: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    seen: list[tuple[bool, bool, bool]] = []
    under(
        mode,
        torch.device("cpu"),
        lambda: seen.append(
            (
                torch.backends.cuda.matmul.allow_tf32,
                torch.backends.cudnn.allow_tf32,
                (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.bfloat16,
            )
        ),
    )
    assert seen == [(matmul, cudnn, half)]
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (False, True)


def test_solvers_come_nearer_with_more_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_solvers, "EXACT", 40)
    monkeypatch.setattr(bench_solvers, "CALLS", (2, 10))
    config = load_config("smoke", [f"run.work={tmp_path}", "train.steps=20", "noise.calibrate=false", *SMALL])
    result = bench_solvers.solvers(config, progress=False)
    assert {x["denoiser"] for x in result} == {"FM", "FFM"}
    for denoiser in ("FM", "FFM"):
        for solver in ("euler", "midpoint", "heun"):
            own = {
                x["network_calls"]: x["rmse_hu"] for x in result if (x["denoiser"], x["solver"]) == (denoiser, solver)
            }
            assert list(own) == [2, 10] and 0 <= own[10] < own[2]
