"""The benchmark of the distances, small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ipv2_bench.benchmark.config import load_config
from ipv2_bench.errors import InputError
from tests.benches import metrics as bench


def test_both_programs_agree_and_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--out", str(tmp_path), "--numbers", "80", "--features", "32"])
    bench.main()
    result = json.loads((tmp_path / "metrics.json").read_text())
    frechet, kid = result["speed"]
    assert frechet["ours"] == pytest.approx(frechet["clean-fid"], rel=1e-6)
    assert kid["ours"] == pytest.approx(kid["clean-fid"], abs=0.02)  # of other subsets
    assert all(x["times_faster"] == x["seconds_clean_fid"] / x["seconds"] > 0 for x in result["speed"])
    assert "| Fréchet | 80 | 32 |" in (tmp_path / "metrics.md").read_text()


def test_the_share_of_a_run_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    config = load_config("smoke", [f"run.work={tmp_path}"])
    with pytest.raises(InputError, match="and 21 more are not complete: run ipv2-bench reproduce"):
        bench.share_of_run(config)
