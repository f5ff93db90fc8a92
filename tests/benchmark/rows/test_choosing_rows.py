"""Tables come from the files of rows, and only from rows that may be in one table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.rows.choose import set_aside
from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.row import SCHEMA, SHARED, Row
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.tasks.render import render_rows
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
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


def change(path: Path, to: Path | None = None, **changes: object) -> None:
    row = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        (row if key in row else row["provenance"])[key] = value
    (to or path).write_text(json.dumps(row), encoding="utf-8")


def test_two_rows_of_one_line_are_refused(board: tuple[Config, Path]) -> None:
    config, path = board
    change(path, path.with_name("other.json"))
    with pytest.raises(
        InputError, match=r"-IPv1-NDCT-seed0.json and other.json are both of IPv1\(NDCT\), seed 0, against NDCT: remove"
    ):
        render_rows(config)


def written_of(config: Config) -> dict[Path, Row]:
    return {p: read_row(p) for p in sorted((config.out / "rows").glob("*.json"))}


@pytest.mark.parametrize(
    "changes", [{}, {"data_manifest": "0" * 64}, {"reference": "0" * 16}], ids=["the same", "of other data", "to another label"]
)
def test_another_row_of_a_new_rows_line_is_set_aside(board: tuple[Config, Path], changes: dict) -> None:
    config, path = board
    written, tables = written_of(config), load_tables(config)
    other = path.with_name("other.json")
    change(path, other, **changes)
    content = other.read_bytes()
    assert set_aside(config.out, tables, config, written) == [path.parent / "set_aside" / "other.json"]
    assert (path.parent / "set_aside" / "other.json").read_bytes() == content and not other.exists()
    assert len(render_rows(config)[0]["table2"].lines) == 4


def test_where_a_line_got_no_new_row_an_old_one_of_other_data_is_set_aside(board: tuple[Config, Path]) -> None:
    config, path = board
    written = {p: row for p, row in written_of(config).items() if p != path}
    assert set_aside(config.out, load_tables(config), config, written) == []  # it can stand beside the new ones
    change(path, data_manifest="0" * 64)
    assert [p.name for p in set_aside(config.out, load_tables(config), config, written)] == [path.name]
    assert len(render_rows(config)[0]["table2"].lines) == 3


def test_rows_of_other_lines_seeds_and_budgets_stay(board: tuple[Config, Path]) -> None:
    config, path = board
    written = written_of(config)
    budget = written[path].provenance.budget.model_dump(mode="json")
    other = {"seed": {"seed": 7}, "line": {"strategy": "IPv1+2"}, "budget": {"budget": {**budget, "steps": 1}}}
    for name, changes in other.items():
        change(path, path.with_name(f"{name}.json"), **{"data_manifest": "0" * 64, **changes})
    (path.parent / "notes.json").write_text("[]", encoding="utf-8")
    assert set_aside(config.out, load_tables(config), config, written) == []
    assert len(list(path.parent.glob("*.json"))) == len(written) + 4


@pytest.mark.parametrize("key", [*SHARED, "extractors"])
def test_rows_that_cannot_be_compared_are_in_no_table(board: tuple[Config, Path], key: str) -> None:
    config, path = board
    came = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    other = {
        "data_manifest": "0" * 64,
        "window_hu": [-900.0, 400.0],
        "meaningful": True,
        "split": {"rule": "slice", "fractions": [0.5, 0.0, 0.5], "seed": 0},
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
