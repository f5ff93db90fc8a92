"""A stranger's denoiser beside the baselines, with one command and no file of ours changed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ipv2_bench import registry
from ipv2_bench.benchmark.compare import compare, new_denoiser, verdict
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.provenance import training_code
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.errors import InputError
from tests.benchmark.test_reproduce import SMALL, SMOKE, run
from tests.benchmark.test_tables import sure

STRANGER = """
import torch
from ipv2_bench.denoisers.base import Denoiser
from .parts import Scale

class Mine(Denoiser):
    title = "Stranger"

    def __init__(self, start: float = 0.5, **options):
        super().__init__(**options)
        self.network = Scale(start)

    def loss(self, pair, generator):
        return torch.nn.functional.mse_loss(self.network(pair.input), pair.target)

    def denoise(self, low, generator=None):
        return self.network(low)
"""
PARTS = """
import torch

class Scale(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(start))

    def forward(self, x):
        return self.factor * x
"""
WORDS = ("compare", "--denoiser", "stranger.mine:Mine", "--config", str(SMOKE), "train.steps=3", *SMALL)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("compared")
    (folder / "stranger").mkdir()
    for name, text in (("__init__.py", ""), ("mine.py", STRANGER), ("parts.py", PARTS)):
        (folder / "stranger" / name).write_text(text)
    return folder, run(folder, *WORDS).stdout


def test_a_strangers_denoiser_stands_in_the_table(compared: tuple[Path, str]) -> None:
    folder, said = compared
    out = folder / "leaderboards" / "smoke"
    with (out / "compare_Mine.csv").open(newline="") as file:
        lines = {line["denoiser"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["FM", "FFM", "Cold Diffusion", "CoreDiff", "identity", "Stranger"]
    assert all(float(x["rmse_hu"]) > 0 and x["strategy"] == "IPv2" for x in lines.values())
    assert lines["Stranger"]["published_fid"] == "" and float(lines["Stranger"]["network_calls"]) == 1
    assert "Stranger against identity" in said and "Stranger + IPv2" in said and "What denoising a slice costs" in said
    rows = [json.loads(p.read_text()) for p in (out / "rows").glob("*.json")]
    assert sum(r["denoiser_key"] == "stranger.mine:Mine" for r in rows) == 1
    with (out / "compare_Mine_pairs.csv").open(newline="") as file:
        pairs = list(csv.DictReader(file))
    assert {p["against"] for p in pairs} == {"FM", "FFM", "Cold Diffusion", "CoreDiff", "identity"}
    rmse = next(p for p in pairs if (p["against"], p["measure"]) == ("identity", "rmse_hu"))
    expected = float(lines["Stranger"]["rmse_hu"]) - float(lines["identity"]["rmse_hu"])
    assert float(rmse["difference"]) == pytest.approx(expected, abs=0.01)
    assert float(rmse["low"]) <= float(rmse["difference"]) <= float(rmse["high"])
    assert (out / "compare_Mine.png").exists()
    assert len(list((folder / "runs" / "smoke" / "wandb" / "wandb").glob("offline-run-*"))) == 6 + 1


def test_baselines_are_used_again(compared: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compared[0]
    assert "6 cells, 6 of them complete" in run(folder, *WORDS).stdout
    # What a package of one's own says is part of its cell, and of no other.
    monkeypatch.syspath_prepend(str(folder))
    mine = registry.find("ipv2_bench.denoisers", "stranger.mine:Mine", Denoiser)
    before = training_code(mine), training_code(FlowMatching)
    (folder / "stranger" / "parts.py").write_text(PARTS.replace("self.factor * x", "self.factor * x + 0.001"))
    assert training_code(mine) != before[0] and training_code(FlowMatching) == before[1]


def test_the_template_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(tmp_path, "new-denoiser", "MyDenoiser").stdout
    assert "compare --denoiser my_denoiser:MyDenoiser" in said and (tmp_path / "my_denoiser.py").exists()
    with pytest.raises(InputError, match=r"my_denoiser.py is there already"):
        new_denoiser("MyDenoiser", tmp_path)
    for bad in ("my denoiser", "1st", "_Mine"):
        with pytest.raises(InputError, match="is no name of a class"):
            new_denoiser(bad, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    work = [f"run.work={tmp_path}", f"run.out={tmp_path / 'out'}", "train.steps=2", "wandb.mode=disabled", *SMALL]
    config = load_config(SMOKE, work)
    monkeypatch.setattr("ipv2_bench.benchmark.compare.BASELINES", ("identity",))
    text, outcome = compare(config, ["my_denoiser:MyDenoiser"], "IPv1", "flood_fill", progress=False)
    assert not outcome.failures and "MyDenoiser against identity" in text


def test_what_is_called_real() -> None:
    better, base = sure("IPv2", [1.0, 1.1]), sure("IPv1", [3.0, 3.1])
    near = sure("IPv2", [3.0, 3.0], spread=2.0)
    assert verdict(better, base, "fd_randconv") == "yes"
    assert verdict(near, base, "fd_randconv") == "no"
    assert verdict(sure("IPv2", [1.0]), sure("IPv1", [3.0]), "fd_randconv") == "for this seed"
    assert verdict(better, sure("IPv1", [3.0]), "fd_randconv") == "no"  # of other seeds


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no denoiser to compare"):
        compare(load_config(SMOKE), [""], "IPv2", "flood_fill")
