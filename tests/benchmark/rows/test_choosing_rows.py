"""Tables come from the files of rows, and only from rows that may be in one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.row import SCHEMA, SHARED
from ipv2_bench.benchmark.tasks.render import render_rows
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from tests.benchmark.examples import change
from tests.conftest import Smoke


def test_two_rows_of_one_line_are_refused(board: tuple[Config, Path]) -> None:
    config, path = board
    change(path, path.with_name("other.json"))
    with pytest.raises(
        InputError, match=r"-IPv1-NDCT-seed0-\w+.json and other.json are both of IPv1\(NDCT\), seed 0, against NDCT: remove"
    ):
        render_rows(config)


@pytest.mark.parametrize("key", [*SHARED, "extractors"])
def test_rows_that_cannot_be_compared_are_in_no_table(board: tuple[Config, Path], key: str) -> None:
    config, path = board
    came = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    other = {
        "data_manifest": "0" * 64,
        "window_hu": [-900.0, 400.0],
        "meaningful": True,
        "split": {"rule": "slice", "fractions": [0.5, 0.0, 0.5], "seed": 0},
        "module_2": {**came["module_2"], "views": 7},
        "budget": {**came["budget"], "steps": 1},
        "measuring": "0" * 16,
        "extractors": {},
    }
    change(path, **{key: other[key]})
    with pytest.raises(InputError, match=f"cannot be in one table, their {key} is not the same: compute one of them anew"):
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
def test_rows_of_other_tests_or_labels_are_in_no_table(
    board: tuple[Config, Path], field: str, value: object, named: str
) -> None:
    config, path = board
    change(path, **{field: value})
    with pytest.raises(InputError, match=f"cannot be in one table, their {named} is not the same"):
        render_rows(config)


def test_of_two_budgets_the_configurations_own_is_rendered(board: tuple[Config, Path]) -> None:
    config, path = board
    row = json.loads(path.read_text(encoding="utf-8"))
    budget = {**row["provenance"]["budget"], "steps": 1}
    change(path, path.with_name("aaa.json"), budget=budget, measures={**row["measures"], "fd_randconv": 9876.5})
    views, _ = render_rows(config)
    assert len(views["table2"].lines) == 4
    assert "9876" not in (config.out / "table2.csv").read_text()


def test_what_is_no_row_of_this_schema_is_reported_and_left_out(
    board: tuple[Config, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = board
    before = (config.out / "table2.md").read_text()
    (path.parent / "aa.json").write_text("[]")
    (path.parent / "ab.json").write_text("no JSON")
    change(path, path.parent / "ac.json", schema=SCHEMA - 1)
    capsys.readouterr()
    render_rows(config)
    said = capsys.readouterr().err
    assert f"left out, since no row of schema {SCHEMA} (computed by earlier code?): aa.json and 2 more" in said
    assert (config.out / "table2.md").read_text() == before


def test_a_line_without_a_row_is_reported(board: tuple[Config, Path], capsys: pytest.CaptureFixture[str]) -> None:
    config, path = board
    path.unlink()
    capsys.readouterr()
    views, _ = render_rows(config)
    assert "table2: no row of IPv1(NDCT) against NDCT, seed 0: left out" in capsys.readouterr().err
    assert len(views["table2"].lines) == 3


def test_without_rows_it_says_where_they_come_from(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["render", "--config", "smoke", f"run.out={tmp_path}"]
    assert main(words) == 2
    assert f"no row under {tmp_path / 'smoke' / 'rows'} is of a line of these tables" in capsys.readouterr().err
    rows = tmp_path / "smoke" / "rows"
    rows.mkdir(parents=True)
    change(next((smoke.out / "rows").glob("*.json")), rows / "a.json", seed=7)
    assert main(words) == 2
    assert "is of a line of these tables: compute them with ipv2-bench reproduce" in capsys.readouterr().err


def test_draws_of_unequal_number_are_no_row(board: tuple[Config, Path]) -> None:
    config, path = board
    replicates = json.loads(path.read_text(encoding="utf-8"))["replicates"]
    first = next(iter(replicates))
    change(path, replicates={**replicates, first: replicates[first][:-1]})
    with pytest.raises(InputError, match=r"breaks the schema at the row: .*lists of \[199, 200\] numbers: expected one"):
        render_rows(config)


def test_one_table_alone_is_written_under_its_own_page(board: tuple[Config, Path]) -> None:
    config, _ = board
    _, page = render_rows(config)
    assert page == config.out / "table2.html" and page.exists()
