"""Tables come from the files of rows, and only from rows that may stand in one table."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("key", SHARED)
def test_rows_that_cannot_be_compared_stand_in_no_table(board: tuple[Config, Path], key: str) -> None:
    config, path = board
    other = {"data_manifest": "0" * 64, "window_hu": [-900.0, 400.0], "budget": {"steps": 1}, "meaningful": False}
    change(path, **{key: other.get(key, ["other"])})
    with pytest.raises(InputError, match=f"cannot stand in one table, their {key} is not the same"):
        render_rows(config)


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
    assert "no rows under" in capsys.readouterr().err
    rows = tmp_path / "phantom" / "rows"
    rows.mkdir(parents=True)
    path = next((LEADERBOARDS / "phantom" / "rows").glob("*.json"))
    change(path, rows / "a.json", seed=7)
    assert main(words) == 2
    assert "none of the 1 rows under" in capsys.readouterr().err


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
