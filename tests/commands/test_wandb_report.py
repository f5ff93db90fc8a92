"""The report on Weights & Biases shows what the runs of a benchmark logged, and needs an account."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2 import interface

from ipv2_bench.cli import main
from tests.conftest import Smoke
from tests.wandb_files import history, records

WORDS = ("wandb-report", "--config", "smoke")


def test_the_report_shows_what_the_runs_logged(
    smoke: Smoke, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(smoke.folder)
    logged: set[str] = set()
    for folder in (smoke.folder / "runs").rglob("offline-run-*"):
        if folder.is_dir() and "-tables-" not in folder.name:
            logged |= {key.removesuffix("._type") for row in history(folder) for key in row}
            items = [r.summary.update for r in records(folder) if r.WhichOneof("record_type") == "summary"]
            logged |= {".".join([*x.nested_key] or [x.key]) for update in items for x in update}
    sent = []
    monkeypatch.setattr(wr.Report, "save", lambda self: sent.append(self))
    monkeypatch.setattr(wr.Report, "url", "https://wandb.ai/someone/ipv2-bench/reports/x")
    assert main([*WORDS, "--entity", "someone"]) == 0
    assert capsys.readouterr().out == "https://wandb.ai/someone/ipv2-bench/reports/x\n"
    (report,) = sent
    panels = [p for grid in report.blocks if isinstance(grid, wr.PanelGrid) for p in grid.panels]
    pictures = {key for p in panels if isinstance(p, wr.MediaBrowser) for key in p.media_keys}
    assert pictures - logged == {"images/validation"} and len(pictures) == 16  # so short a training is not watched
    curves = {key for p in panels if isinstance(p, wr.LinePlot) for key in p.y}
    assert curves - logged == {"train/gpu_memory_mb"}  # there is none on a processor
    measures = {m.name for p in panels if isinstance(p, wr.BarPlot) for m in p.metrics}
    measures |= {a.name for p in panels if isinstance(p, wr.ScatterPlot) for a in (p.x, p.y)}
    assert measures <= logged and {"fd_randconv", "rmse_hu", "seconds_per_slice"} <= measures
    tables = [b.text for b in report.blocks if isinstance(b, wr.MarkdownBlock)]
    assert [t.strip() for t in tables] == [(smoke.out / f"table{n}.md").read_text().strip() for n in (1, 2, 3)]
    known = {"project": {"internalId": "1"}}  # the one thing that the SDK asks before it sends
    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", lambda *_: known)
    text = report._to_model().model_dump_json()  # as it is sent
    assert str(smoke.folder) not in text and '"smoke"' in text and "jobType" in text


def test_the_report_needs_an_account(
    smoke: Smoke, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(smoke.folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert main(WORDS) == 2
    assert "run wandb login" in capsys.readouterr().err
    monkeypatch.setattr(wr.Report, "save", lambda self: 1 / 0)
    assert main([*WORDS, "--entity", "someone"]) == 2
    assert "W&B did not take the report (ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    assert main([*WORDS, "--entity", "someone"]) == 2
    assert "pip install 'ipv2-bench[wandb-report]'" in capsys.readouterr().err
