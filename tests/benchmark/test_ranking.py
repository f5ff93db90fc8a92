"""Rows are ranked from their files alone, and never beside rows that they cannot be compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ipv2_bench.benchmark.ranking import rank
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError

COMMITTED = sorted((Path(__file__).parents[2] / "leaderboards" / "what_matters" / "rows").glob("*.json"))


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., Path]:
    template = json.loads(COMMITTED[0].read_text(encoding="utf-8"))

    def make(name: str, denoiser: str, rmse: float, seed: int = 0, **came: object) -> Path:
        row = json.loads(json.dumps(template))
        row |= {"denoiser": denoiser, "denoiser_key": denoiser.lower(), "seed": seed}
        row["fidelity"]["rmse_hu"] = rmse
        row["fidelity"]["psnr_db"] = -rmse
        row["provenance"] |= came
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(row))
        return path

    return make


def order(text: str) -> list[str]:
    return [
        line.split("|")[2].split("+")[0].strip()
        for line in text.splitlines()
        if line.startswith("| ") and line[2].isdigit()
    ]


def test_seeds_are_joined_and_the_better_stands_first(rows) -> None:
    paths = [rows("a", "A", 90.0), rows("b0", "B", 70.0), rows("b1", "B", 80.0, seed=1), rows("c", "C", 76.0)]
    text = rank(paths, "rmse_hu")
    assert order(text) == ["B", "C", "A"] and "| 75 | 2 | 70 to 80 |" in text
    assert order(rank(paths, "psnr_db")) == ["B", "C", "A"]  # higher is better there


@pytest.mark.parametrize(
    "other",
    [
        {"data_manifest": "f" * 64},
        {"window_hu": [-1350.0, 150.0]},
        {"split": ["slice", [0.7, 0.15, 0.15], 0]},
        {"budget": None},
    ],
)
def test_what_cannot_be_compared_stands_in_a_list_of_its_own(rows, other: dict) -> None:
    if other == {"budget": None}:
        budget = json.loads(COMMITTED[0].read_text(encoding="utf-8"))["provenance"]["budget"]
        other = {"budget": {**budget, "steps": 7000}}
    text = rank([rows("a", "A", 90.0), rows("b", "B", 70.0, **other)], "rmse_hu")
    assert text.count("## ") == 2 and text.count("\n| 1 |") == 2


def test_other_extractors_part_only_the_measures_that_are_theirs(rows) -> None:
    other = {"randconv": {"version": "2", "sha256": "0" * 64}}
    paths = [rows("a", "A", 90.0), rows("b", "B", 70.0, extractors=other)]
    assert rank(paths, "fd_randconv").count("## ") == 2
    assert rank(paths, "rmse_hu").count("## ") == 1


def test_refusals(rows, tmp_path: Path, capsys) -> None:
    with pytest.raises(InputError, match="--by is 'beauty'"):
        rank([rows("a", "A", 90.0)], "beauty")
    with pytest.raises(InputError, match="none of 1 rows is of a denoiser and has fid"):
        rank([rows("a", "A", 90.0)], "fid")
    assert main(["rank"]) == 2 and "no row to rank" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    assert main(["rank", str(tmp_path / "x.json")]) == 2


def test_the_committed_rows_can_be_ranked(capsys) -> None:
    assert main(["rank", *map(str, COMMITTED), "--by", "rmse_hu"]) == 0
    assert len(order(capsys.readouterr().out)) == 17
