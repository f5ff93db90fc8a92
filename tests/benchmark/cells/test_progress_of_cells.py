"""Progress without a terminal: a line for each tenth of a cell's stage and for each cell, without escape codes."""

from __future__ import annotations

import pytest

from ipv2_bench.benchmark.cells.progress import Bars, Lines, Silent, display


def test_a_line_for_each_tenth_and_each_cell(capsys: pytest.CaptureFixture[str]) -> None:
    shown = display(total=3, done=1, enabled=True)
    assert isinstance(shown, Lines)
    for step in range(1, 201):
        shown.update("FM", f"epoch {1 + step // 20}", step, 200)
    for done in (4, 8):
        shown.update("FM", "denoising", done, 8)
    shown.update("FM", "measuring", 0, 1)
    shown.finish("FM")
    shown.fail("FFM", "out of memory")
    shown.close()
    lines = capsys.readouterr().err.splitlines()
    assert [x for x in lines if "training" in x] == [f"FM: training: {n} of 200 steps" for n in range(20, 201, 20)]
    assert [x for x in lines if "denoising" in x] == ["FM: denoising: 4 of 8 slices", "FM: denoising: 8 of 8 slices"]
    assert lines[-2:] == ["cell 2 of 3 complete: FM", "failed: FFM: out of memory"]
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_quiet_shows_failures_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown = display(total=3, done=0, enabled=False)
    assert isinstance(shown, Silent) and not isinstance(shown, Lines)
    shown.update("FM", "epoch 1", 5, 10)
    shown.finish("FM")
    shown.fail("FFM", "killed")
    shown.close()
    assert capsys.readouterr().err == "failed: FFM: killed\n"


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ipv2_bench.benchmark.cells.progress.on_terminal", lambda: True)
    shown = display(total=2, done=0, enabled=True)
    assert isinstance(shown, Bars)
    shown.update("FM", "epoch 1", 5, 10)
    shown.update("FM", "denoising", 2, 4)
    shown.finish("FM")
    shown.fail("FFM", "killed")
    shown.close()
    said = capsys.readouterr()
    assert "FM · denoising" in said.err and "failed: FFM: killed" in said.out + said.err
