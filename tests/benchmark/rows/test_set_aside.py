"""New rows make room: what they replace is moved and kept, and the tables can be rendered afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.rows.set_aside import set_aside
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.tasks.render import render_rows
from tests.benchmark.examples import change


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


@pytest.mark.parametrize(
    "changes", [{"data_manifest": "0" * 64}, {"reference": "0" * 16}, {"seed": -1}], ids=["other data", "other label", "no row"]
)
def test_an_old_row_of_a_failed_cell_that_cannot_be_rendered_is_set_aside(board: tuple[Config, Path], changes: dict) -> None:
    config, path = board
    written = {p: row for p, row in written_of(config).items() if p != path}
    change(path, **changes)
    if "seed" in changes:  # a file of the line that breaks the schema elsewhere
        change(path, seed=0, n_images=0)
    assert [p.name for p in set_aside(config.out, load_tables(config), config, written)] == [path.name]
    assert len(render_rows(config)[0]["table2"].lines) == 3


def test_rows_of_another_schema_are_set_aside_and_what_is_no_row_stays(board: tuple[Config, Path]) -> None:
    config, path = board
    written = written_of(config)
    earlier = path.with_name("earlier.json")
    change(path, earlier, schema=4)
    for name, text in (("list.json", "[]"), ("broken.json", "{"), ("null.json", '{"schema": null, "provenance": null}')):
        path.with_name(name).write_text(text, encoding="utf-8")
    assert [p.name for p in set_aside(config.out, load_tables(config), config, written)] == ["earlier.json"]
    assert {p.name for p in path.parent.glob("*.json")} >= {"list.json", "broken.json", "null.json"}


def test_a_file_that_was_set_aside_before_is_kept(board: tuple[Config, Path]) -> None:
    config, path = board
    written, contents = written_of(config), []
    for images in ("1" * 16, "2" * 16):
        change(path, path.with_name("other.json"), images=images)
        contents.append(path.with_name("other.json").read_bytes())
        set_aside(config.out, load_tables(config), config, written)
    assert sorted(p.read_bytes() for p in (path.parent / "set_aside").iterdir()) == sorted(contents)


def test_nothing_moves_when_nothing_was_written(board: tuple[Config, Path]) -> None:
    config, _ = board
    assert set_aside(config.out, load_tables(config), config, {}) == []
