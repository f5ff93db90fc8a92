"""Rows are ranked from their files alone, and never beside rows that they cannot be compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipv2_bench.benchmark.rows.files import row_text
from ipv2_bench.benchmark.rows.row import Extractor, SplitRule
from ipv2_bench.benchmark.settings import TrainSettings
from ipv2_bench.benchmark.tasks.rank import rank
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.catalogue import catalogue
from tests.benchmark.examples import a_row
from tests.conftest import Smoke

Rows = Callable[..., Path]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """The file of a row."""

    def make(name: str, title: str, seed: int = 0, key: str = "", came: dict | None = None, **measures: Any) -> Path:
        path = tmp_path / f"{name}.json"
        row = a_row(seed, key or title.lower(), title=title, provenance=came, **measures)
        path.write_text(row_text(row), encoding="utf-8")
        return path

    return make


def order(text: str) -> list[str]:
    return [
        line.split("|")[2].split("+")[0].strip()
        for line in text.splitlines()
        if line.startswith("| ") and line[2].isdigit()
    ]


def test_seeds_are_joined_and_the_better_is_first(rows: Rows) -> None:
    values = (("a", "A", 0, 90.0), ("b0", "B", 0, 70.0), ("b1", "B", 1, 80.0), ("c", "C", 0, 76.0))
    paths = [rows(name, title, seed, rmse_hu=v, psnr_db=-v) for name, title, seed, v in values]
    text = rank(paths, "rmse_hu")
    assert order(text) == ["B", "C", "A"] and "| 75 | 2 | 70 to 80 |" in text and "| 76 | 1 | – |" in text
    assert order(rank(paths, "psnr_db")) == ["B", "C", "A"]  # higher is better there


@pytest.mark.parametrize("column", catalogue().columns.values(), ids=lambda c: c.name)
def test_every_column_puts_the_best_first(rows: Rows, column: Any) -> None:
    """Of a cost, whatever the cells state; of all others, the best of three values."""
    if column.group == "cost":
        assert order(rank([rows("a", "A")], column.name)) == ["A"]
        return
    values = {"higher": (1.5, 1.0, 0.5), "lower": (0.5, 1.0, 1.5)}
    best_first = values.get(str(column.ideal)) or tuple(float(column.ideal) + d for d in (-0.01, 0.5, -0.9))
    named = dict(zip("ABC", best_first, strict=True))
    paths = [rows(title, title, **{column.name: named[title]}) for title in "CAB"]
    assert order(rank(paths, column.name)) == ["A", "B", "C"]


@pytest.mark.parametrize(
    "other",
    [
        {"data_manifest": "f" * 64},
        {"window_hu": (-1350.0, 150.0)},
        {"split": SplitRule(rule="slice", fractions=(0.7, 0.15, 0.15), seed=0)},
        {"budget": TrainSettings(steps=7000)},
        {"measuring": "0" * 16},
        {"meaningful": False},
    ],
)
def test_what_cannot_be_compared_is_in_a_list_of_its_own(rows: Rows, other: dict) -> None:
    text = rank([rows("a", "A", rmse_hu=90.0), rows("b", "B", came=other, rmse_hu=70.0)], "rmse_hu")
    assert text.count("## ") == 2 and text.count("\n| 1 |") == 2


def test_other_extractors_part_only_the_measures_that_are_theirs(rows: Rows) -> None:
    other = {"extractors": {"randconv": Extractor(version="2", sha256="0" * 64)}}
    measures = {"rmse_hu": 90.0, "fd_randconv": 1.0}
    paths = [rows("a", "A", **measures), rows("b", "B", came=other, **measures)]
    assert rank(paths, "fd_randconv").count("## ") == 2
    assert rank(paths, "rmse_hu").count("## ") == 1


def test_denoisers_of_one_title_are_told_apart_by_their_key(rows: Rows) -> None:
    paths = [rows("a", "FM", key="fm", rmse_hu=90.0), rows("b", "FM", key="theirs:FM", rmse_hu=70.0)]
    text = rank(paths, "rmse_hu")
    assert "| 1 | FM (theirs:FM) + IPv2 |" in text and "| 2 | FM + IPv2 |" in text


def test_refusals(rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"--by 'rmse_hv' is unknown: did you mean rmse_hu\? use one of "):
        rank([rows("a", "A", rmse_hu=90.0)], "rmse_hv")
    with pytest.raises(InputError, match="none of 1 rows is of a denoiser and has fid: name others or another measure"):
        rank([rows("a", "A", rmse_hu=90.0)], "fid")
    assert main(["rank"]) == 2 and "no row is named: give files under" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    assert main(["rank", str(tmp_path / "x.json")]) == 2
    assert "the row x.json breaks the schema at" in capsys.readouterr().err


def test_the_rows_of_a_run_can_be_ranked(smoke: Smoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", *map(str, sorted((smoke.out / "rows").glob("*.json"))), "--by", "edge_mtf50"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("## smoke: edge_mtf50 against ") and "a trial whose numbers mean nothing" in text
    assert len(order(text)) == 32
