"""Tables come from the files of rows, and only from rows that may stand in one table."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.from_rows import render_rows
from ipv2_bench.benchmark.row_files import SHARED, Row, read_row, row_text, storable
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError

REPOSITORY = Path(__file__).parents[2]
LEADERBOARDS = REPOSITORY / "leaderboards"
TABLES = [
    ("quick", "table1.yaml"),
    ("quick", "table2.yaml"),
    ("quick", "table3.yaml"),
    ("quick", "table_tuned.yaml"),
    ("virtual_scan", "table1.yaml"),
    ("virtual_scan", "table2.yaml"),
    ("virtual_scan", "table3.yaml"),
    ("virtual_scan", "table_tuned.yaml"),
    ("what_matters", "table_what_matters.yaml"),
]


def config_of(name: str, out: Path, *settings: str) -> Config:
    return load_config(REPOSITORY / "experiments" / f"{name}.yaml", [f"run.out={out}", *settings])


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_the_committed_tables_are_those_of_the_committed_rows(name: str, table: str, tmp_path: Path) -> None:
    config = config_of(name, tmp_path, f"tables=[{table}]")
    committed = LEADERBOARDS / config.name
    shutil.copytree(committed / "rows", tmp_path / config.name / "rows")
    render_rows(config)
    key = Path(table).stem
    for ending in (".csv", ".md", "_detail.md", "_differences.csv"):
        written = (tmp_path / config.name / f"{key}{ending}").read_text(encoding="utf-8")
        assert written == (committed / f"{key}{ending}").read_text(encoding="utf-8"), f"{key}{ending}"


@pytest.mark.parametrize("name", ["quick", "virtual_scan", "what_matters"])
def test_the_committed_page_shows_the_tables_of_its_configuration(name: str, tmp_path: Path) -> None:
    config = config_of(name, tmp_path)
    page = (LEADERBOARDS / config.name / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<section id="(table\w*)">', page)
    assert shown == [Path(table).stem for table in config.tables]
    assert page.count("<img") > 20


@pytest.fixture
def board(tmp_path: Path) -> tuple[Config, Path]:
    """A leaderboard with the rows of the phantom's Table 2 alone, and one of them."""
    config = config_of("quick", tmp_path, "tables=[table2.yaml]", "wandb.mode=disabled")
    rows = tmp_path / config.name / "rows"
    rows.mkdir(parents=True)
    for path in sorted((LEADERBOARDS / "phantom" / "rows").glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if not row["denoiser"]:
            shutil.copy(path, rows)
    made, _ = render_rows(config)
    assert len(made.lines["table2"]) == 4
    return config, next(p for p in sorted(rows.iterdir()) if "-IPv1-" in p.name)


def change(path: Path, to: Path | None = None, **changes: object) -> None:
    row = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        place = row if key in row else row["provenance"]
        place[key] = value
    (to or path).write_text(row_text(row), encoding="utf-8")


def test_two_rows_of_one_line_are_refused(board: tuple[Config, Path]) -> None:
    config, path = board
    change(path, path.with_name("other.json"))
    with pytest.raises(
        InputError, match=r"-IPv1-NDCT-seed0.json and other.json are both of the label \+ IPv1, seed 0, against NDCT"
    ):
        render_rows(config)


@pytest.mark.parametrize("key", [*SHARED, "extractors"])
def test_rows_that_cannot_be_compared_stand_in_no_table(board: tuple[Config, Path], key: str) -> None:
    config, path = board
    came = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    other = {
        "data_manifest": "0" * 64,
        "window_hu": [-900.0, 400.0],
        "meaningful": False,
        "split": ["slice", [1, 0, 1], 0],
    }
    other |= {"budget": {**came["budget"], "steps": 1}, "extractors": {}}
    change(path, **{key: other.get(key, ["other"])})
    with pytest.raises(InputError, match=f"cannot stand in one table, their {key} is not the same"):
        render_rows(config)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("n_images", 7, "n_images"),
        ("n_test_patients", 5, "n_test_patients"),
        ("reference", "0" * 16, "label NDCT of seed 0"),
        ("replicates", {}, "number of draws"),
    ],
)
def test_rows_of_other_tests_or_labels_stand_in_no_table(
    board: tuple[Config, Path], field: str, value: object, named: str
) -> None:
    config, path = board
    change(path, **{field: value})
    with pytest.raises(InputError, match=f"cannot stand in one table, their {named} is not the same"):
        render_rows(config)


def test_of_two_budgets_the_configurations_own_is_rendered(board: tuple[Config, Path]) -> None:
    config, path = board
    row = json.loads(path.read_text(encoding="utf-8"))
    budget = {**row["provenance"]["budget"], "steps": 1}
    change(path, path.with_name("aaa.json"), budget=budget, distances={**row["distances"], "fd_randconv": 9876.5})
    made, _ = render_rows(config)
    assert len(made.lines["table2"]) == 4 and "9876" not in made.csv["table2"]


def test_what_is_no_row_of_this_schema_is_told_and_left_out(
    board: tuple[Config, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = board
    before, _ = render_rows(config)
    (path.parent / "aa.json").write_text("[]")
    (path.parent / "ab.json").write_text("no JSON")
    change(path, path.parent / "ac.json", schema=3)
    capsys.readouterr()
    after, _ = render_rows(config)
    assert "left out, since no row of schema 4: aa.json and 2 more" in capsys.readouterr().err
    assert after.markdown == before.markdown


def test_a_label_that_is_the_same_for_both_seeds_has_a_row_for_each(tmp_path: Path) -> None:
    """Labels without module 3 need no trained denoiser; their differences to those that do are paired over both seeds."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in (LEADERBOARDS / "virtual_scan" / "rows").glob("*.json")]
    labels = {(r["strategy"], r["seed"]): r["images"] for r in rows if not r["denoiser"]}
    assert len(labels) == 8 and labels["IPv1", 0] == labels["IPv1", 1] and labels["IPv2", 0] != labels["IPv2", 1]
    lines = (LEADERBOARDS / "virtual_scan" / "table2_differences.csv").read_text(encoding="utf-8").splitlines()
    assert {line.split(",")[2] for line in lines[1:]} >= {"IPv1+1", "IPv1+3", "IPv2"}


def test_a_line_without_a_row_is_told(board: tuple[Config, Path], capsys: pytest.CaptureFixture[str]) -> None:
    config, path = board
    path.unlink()
    capsys.readouterr()
    made, _ = render_rows(config)
    assert "table2: no row of IPv1 against NDCT, seed 0: left out" in capsys.readouterr().err
    assert len(made.lines["table2"]) == 3


def test_without_rows_it_says_where_they_come_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["render", "--config", str(REPOSITORY / "experiments" / "quick.yaml"), f"run.out={tmp_path}"]
    assert main(words) == 2
    assert "no row under" in capsys.readouterr().err
    rows = tmp_path / "phantom" / "rows"
    rows.mkdir(parents=True)
    path = next((LEADERBOARDS / "phantom" / "rows").glob("*.json"))
    change(path, rows / "a.json", seed=7)
    assert main(words) == 2
    assert "is of a line of these tables" in capsys.readouterr().err


def test_draws_of_unequal_number_are_no_row(board: tuple[Config, Path]) -> None:
    config, path = board
    replicates = json.loads(path.read_text(encoding="utf-8"))["replicates"]
    first = next(iter(replicates))
    change(path, replicates={**replicates, first: replicates[first][:-1]})
    with pytest.raises(InputError, match=r"breaks the schema at replicates: lists of \[199, 200\] numbers"):
        render_rows(config)


def test_a_row_is_text_with_its_lists_on_a_line_and_keeps_what_draws_lack(tmp_path: Path) -> None:
    data = {
        "name": "a [1,2] b", "ends": [1.5, -2e-7], "of": {"x": [0, 1]}, "none": [], "words": ["a", 1],
        "replicates": storable({"z": np.array([1 / 3, np.nan, np.inf, -1e9])}),
    }  # fmt: skip
    text = row_text(data)
    assert json.loads(text) == data
    assert '"ends": [1.5, -2e-07],' in text and '"z": [0.333333, null, null, -1000000000.0]' in text
    assert '"a [1,2] b"' in text
    drawn = Row(data).replicates["z"]
    assert drawn[0] == 0.333333 and np.isnan(drawn[1:3]).all() and drawn[3] == -1e9


def test_the_committed_rows_are_written_as_rows_are() -> None:
    paths = sorted(LEADERBOARDS.glob("*/rows/*.json"))
    assert len(paths) > 50
    for path in paths[::7]:
        assert row_text(read_row(path)) == path.read_text(encoding="utf-8"), path
