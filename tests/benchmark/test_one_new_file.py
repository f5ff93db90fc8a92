"""One new file under ``denoisers/`` is all that a denoiser takes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmark.test_reproduce import REPOSITORY

NEW = '''
import torch
from ipv2_bench.denoisers.base import Denoiser


class Blend(Denoiser):
    """A learned blend of the slice with its mean."""

    title = "Blend"

    def __init__(self, start: float = 0.5, **options):
        super().__init__(**options)
        self.share = torch.nn.Parameter(torch.tensor(start))

    def loss(self, pair, generator):
        return torch.nn.functional.mse_loss(self.denoise(pair.input), pair.target)

    def denoise(self, low, generator=None):
        return self.share * low + (1 - self.share) * low.mean((2, 3), keepdim=True)
'''
ROWS = """title: a new one
rows:
  - {denoiser: blend, strategy: IPv1}
  - {denoiser: blend, strategy: IPv2}
"""


def reproduce(folder: Path, config: str, package: Path) -> subprocess.CompletedProcess:
    words = ["reproduce", "--config", config, "tables=[table9.yaml]", "wandb.mode=disabled"]
    return subprocess.run(
        [sys.executable, "-m", "ipv2_bench.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_a_file_in_the_package_is_a_denoiser(tmp_path: Path) -> None:
    for part in ("ipv2_bench", "experiments", "leaderboards/published"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "experiments" / "table9.yaml").write_text(ROWS)
    without = reproduce(tmp_path / "leaderboards", "../experiments/smoke.yaml", tmp_path)
    assert without.returncode != 0 and "denoiser 'blend' is unknown: use one of" in without.stderr
    (tmp_path / "ipv2_bench" / "denoisers" / "blend.py").write_text(NEW)
    done = reproduce(tmp_path, "experiments/smoke.yaml", tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    with (tmp_path / "leaderboards" / "smoke" / "table9.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["denoiser"], r["strategy"]) for r in rows] == [("Blend", "IPv1"), ("Blend", "IPv2")]
    assert all(float(r["rmse_hu"]) > 0 for r in rows)
