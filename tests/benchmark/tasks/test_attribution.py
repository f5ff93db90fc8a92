"""Distances are attributed to regions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipv2_bench.cli import main
from tests.conftest import Smoke
from tests.program import table


def test_distances_are_attributed_to_regions(smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["attribute", "--config", "smoke", "--quiet", *smoke.settings(tmp_path)]
    assert main([*words, "--denoiser", "fm,corediff"]) == 0
    out = capsys.readouterr().out
    lines = table(tmp_path / "smoke" / "attribution.csv")
    assert len(lines) == 8 and {x["denoiser"] for x in lines} == {"fm", "corediff"}
    measured = next(x for x in table(smoke.out / "table1.csv") if x["strategy"] == "IPv2")
    ours = next(x for x in lines if (x["denoiser"], x["strategy"]) == ("fm", "IPv2"))
    assert float(ours["fd_randconv"]) == pytest.approx(float(measured["fd_randconv"]), rel=0.01)
    # Nearly untrained, they err everywhere: the truth in the place of a large part changes the distance.
    assert all(x["fd_randconv_true_tissue"] != x["fd_randconv"] for x in lines)
    assert "| FD | FD, true rim |" in out
    assert out.strip() == (tmp_path / "smoke" / "attribution.md").read_text().strip()
    assert main([*words, "--denoiser", "red_cnn"]) == 2
    assert "denoiser 'red_cnn' is not in Table 1: use some of fm, corediff" in capsys.readouterr().err


def test_without_complete_cells_or_a_truth_there_is_nothing_to_attribute(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["attribute", "--config", "smoke", "--quiet", *smoke.settings(tmp_path)]
    assert main([*words, "train.steps=5"]) == 2
    assert "FM · IPv1 · seed 0 and 18 more are not complete: run ipv2-bench reproduce" in capsys.readouterr().err
