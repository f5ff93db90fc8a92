"""A denoiser from outside beside the baselines, with one command and no file of the program changed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from ipv2_bench import registry
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.tasks.compare import compare, difference_text, pairs_csv, pairs_markdown, real_text
from ipv2_bench.benchmark.tasks.comparison import comparison
from ipv2_bench.benchmark.tasks.new_denoiser import new_denoiser
from ipv2_bench.benchmark.views.line_pairs import LinePair, newcomer_pairs
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import version_of
from ipv2_bench.metrics.catalogue import catalogue
from tests.benchmark.examples import a_line, a_view, sure
from tests.program import SMALL, run
from tests.program import table as csv_rows

OUTSIDE = """
import torch
from ipv2_bench.denoisers.base import Denoiser
from .parts import Scale

class Mine(Denoiser):
    title = "Outsider"

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
WORDS = ("compare", "--denoiser", "outside.mine:Mine", "--config", "smoke", "train.steps=3", *SMALL)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("compared")
    (folder / "outside").mkdir()
    for name, text in (("__init__.py", ""), ("mine.py", OUTSIDE), ("parts.py", PARTS)):
        (folder / "outside" / name).write_text(text)
    return folder, run(folder, *WORDS).stdout


def test_a_denoiser_from_outside_is_in_the_table(compared: tuple[Path, str]) -> None:
    folder, said = compared
    out = folder / "leaderboards" / "smoke"
    lines = {line["denoiser"]: line for line in csv_rows(out / "compare_outside-mine-Mine_IPv2.csv")}
    assert list(lines) == ["FM", "FFM", "Cold Diffusion", "CoreDiff", "identity", "Outsider"]
    assert all(float(x["rmse_hu"]) > 0 and x["strategy"] == "IPv2" for x in lines.values())
    assert lines["Outsider"]["published_fid"] == "" and float(lines["Outsider"]["network_calls"]) == 1
    assert "Outsider against identity" in said and "Outsider + IPv2" in said and "What denoising a slice costs" in said
    rows = [json.loads(p.read_text()) for p in (out / "rows").glob("*.json")]
    assert sum(r["denoiser"]["key"] == "outside.mine:Mine" for r in rows) == 1
    pairs = csv_rows(out / "compare_outside-mine-Mine_IPv2_pairs.csv")
    assert {p["against"] for p in pairs} == {"FM", "FFM", "Cold Diffusion", "CoreDiff", "identity"}
    rmse = next(p for p in pairs if (p["against"], p["measure"]) == ("identity", "rmse_hu"))
    expected = float(lines["Outsider"]["rmse_hu"]) - float(lines["identity"]["rmse_hu"])
    assert float(rmse["difference"]) == pytest.approx(expected, abs=0.01)
    assert float(rmse["low"]) <= float(rmse["difference"]) <= float(rmse["high"])
    assert (out / "compare_outside-mine-Mine_IPv2.png").exists()
    assert len(list((folder / "runs" / "smoke" / "wandb" / "wandb").glob("offline-run-*"))) == 6 + 1


def test_its_row_is_verified_with_its_weights(compared: tuple[Path, str]) -> None:
    """As the page on contributing says, with nothing but the row's own settings."""
    folder = compared[0]
    (row,) = (folder / "leaderboards" / "smoke" / "rows").glob("outside-mine-Mine-*.json")
    done = run(folder, "verify", str(row), "--weights", "--config", "smoke", "train.steps=3", *SMALL)
    assert "equal" in done.stdout and "outside-mine-Mine" in done.stdout
    ranked = run(folder, "rank", *map(str, row.parent.glob("*.json")), "--by", "rmse_hu").stdout
    assert "Outsider" in ranked and "CoreDiff" in ranked


def test_baselines_are_used_again(compared: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compared[0]
    assert "6 cells, 6 of them complete" in run(folder, *WORDS).stdout
    # The source of a package that declares no version names its cells, and no other.
    monkeypatch.syspath_prepend(str(folder))
    mine = registry.find("ipv2_bench.denoisers", "outside.mine:Mine", Denoiser)
    before = version_of(mine), version_of(FlowMatching)
    (folder / "outside" / "parts.py").write_text(PARTS.replace("self.factor * x", "self.factor * x + 0.001"))
    assert version_of(mine) != before[0] and version_of(FlowMatching) == before[1]
    (folder / "outside" / "parts.py").write_text(PARTS)
    mine.version = 3  # type: ignore[attr-defined]
    assert version_of(mine) == 3


def test_the_template_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(tmp_path, "new-denoiser", "MyDenoiser").stdout
    assert "compare --denoiser my_denoiser:MyDenoiser" in said and (tmp_path / "my_denoiser.py").exists()
    with pytest.raises(InputError, match=r"my_denoiser.py exists already"):
        new_denoiser("MyDenoiser", tmp_path)
    for bad in ("my denoiser", "1st", "_Mine"):
        with pytest.raises(InputError, match="is no name of a class"):
            new_denoiser(bad, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    work = [f"run.work={tmp_path}", f"run.out={tmp_path / 'out'}", "train.steps=2", "wandb.mode=disabled", *SMALL]
    config = load_config("smoke", work)
    monkeypatch.setattr("ipv2_bench.benchmark.tasks.comparison.BASELINES", ("identity",))
    text, outcome = compare(config, ["my_denoiser:MyDenoiser"], "IPv1", "flood_fill", progress=False)
    assert not outcome.failures and "MyDenoiser against identity" in text


FD = catalogue().columns["fd_randconv"]


def test_which_differences_are_called_real() -> None:
    better, base = sure("IPv2", [1.0, 1.1]), sure("IPv1", [3.0, 3.1])
    near, one_seed = sure("IPv2", [3.0, 3.0], spread=2.0), sure("IPv2", [1.0])
    assert real_text(LinePair(better, base), FD) == "yes" and LinePair(better, base).improves(FD)
    assert real_text(LinePair(near, base), FD) == "no"
    of_one_seed = LinePair(one_seed, sure("IPv1", [3.0]))
    assert real_text(of_one_seed, FD) == "for this seed"
    assert real_text(LinePair(better, sure("IPv1", [3.0])), FD) == "no"  # of other seeds
    assert difference_text(LinePair(better, base), FD).endswith(": better")
    assert difference_text(LinePair(base, better), FD).endswith(": worse")
    assert difference_text(LinePair(near, base), FD).endswith(": not sure")
    assert difference_text(of_one_seed, FD).endswith(": better, for this seed")


def test_denoisers_of_one_title_are_kept_apart() -> None:
    def line(title: str, key: str, distance: float) -> Line:
        return a_line("IPv2", {"fd_randconv": [distance], "seconds_per_slice": [distance / 10]}, denoiser=title, key=key)

    view = a_view([line("U-Net", "mine:A", 1.0), line("U-Net", "mine:B", 2.0), line("FM", "fm", 4.0)])
    pairs = newcomer_pairs(view.lines, ("mine:A", "mine:B"))
    text = pairs_markdown(view, pairs)
    assert "| U-Net (mine:A) against FM | -3: not sure |" in text
    assert "| U-Net (mine:B) against FM | -2: not sure |" in text
    assert "| U-Net (mine:A) | 0.1 |" in text and "| U-Net (mine:B) | 0.2 |" in text and "| FM | 0.4 |" in text
    written = list(csv.DictReader(io.StringIO(pairs_csv(view, pairs))))
    assert [(x["denoiser"], x["against"], x["difference"]) for x in written] == [
        ("U-Net (mine:A)", "FM", "-3"),
        ("U-Net (mine:B)", "FM", "-2"),
    ]


def test_nothing_to_compare_is_refused() -> None:
    for denoisers in ([], [""], ["fm", ""]):
        with pytest.raises(InputError, match="no denoiser to compare"):
            comparison(denoisers, "IPv2", "flood_fill")


def test_a_comparison_has_each_denoiser_once() -> None:
    table = comparison(["red_cnn", "fm", "red_cnn"], "IPv1", "flood_fill")
    assert [line.denoiser for line in table.lines] == ["ffm", "cold_diffusion", "corediff", "identity", "red_cnn", "fm"]
    assert table.key == "compare_red_cnn-fm-red_cnn_IPv1" and {line.strategy.name for line in table.lines} == {"IPv1"}
