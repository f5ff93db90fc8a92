"""A leaderboard of Table 2 alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.tasks.render import render_rows
from tests.conftest import Smoke


@pytest.fixture
def board(smoke: Smoke, tmp_path: Path) -> tuple[Config, Path]:
    """A leaderboard with the rows of Table 2 alone, and one of them."""
    config = load_config("smoke", [f"run.out={tmp_path}", "tables=[table2.yaml]"])
    rows = tmp_path / config.name / "rows"
    rows.mkdir(parents=True)
    for path in sorted((smoke.out / "rows").glob("*.json")):
        if json.loads(path.read_text(encoding="utf-8"))["denoiser"] is None:
            shutil.copy(path, rows)
    views, _ = render_rows(config)
    assert len(views["table2"].lines) == 4
    return config, next(p for p in sorted(rows.iterdir()) if "-IPv1-" in p.name)
