"""Tables and page come from the files of rows alone; committed boards are those of their rows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.rows.files import read_row, row_text
from ipv2_bench.benchmark.rows.row import SCHEMA
from ipv2_bench.benchmark.tasks.render import render_rows
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from tests.committed import committed_boards
from tests.conftest import Smoke

LEADERBOARDS = committed_boards()
TABLES = [
    *(("quick", f"{table}.yaml") for table in ("table1", "table2", "table3", "table_tuned")),
    *(("native", f"{table}.yaml") for table in ("table1", "table2", "table3", "table_tuned")),
    ("rivals", "table4.yaml"),
    ("rivals", "table5.yaml"),
]


def config_of(name: str, out: Path, *settings: str) -> Config:
    return load_config(name, [f"run.out={out}", *settings])


def schema_of(board: str) -> int:
    """The schema of a committed board's rows, which is one for all of them."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in (LEADERBOARDS / board / "rows").glob("*.json")]
    (schema,) = {row["schema"] for row in rows}
    return schema


def test_the_phantoms_board_is_of_this_schema() -> None:
    assert schema_of("phantom") == SCHEMA


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_the_committed_tables_are_those_of_the_committed_rows(
    name: str, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(name, tmp_path, f"tables=[{table}]")
    committed = LEADERBOARDS / config.name
    shutil.copytree(committed / "rows", tmp_path / config.name / "rows")
    if schema_of(config.name) != SCHEMA:  # of earlier code: nothing is rendered of it
        with pytest.raises(InputError, match=r"no row under .* is of a line of these tables"):
            render_rows(config)
        assert "computed by earlier code?" in capsys.readouterr().err
        return
    render_rows(config)
    key = Path(table).stem
    for ending in (".csv", ".md", "_detail.md", "_differences.csv"):
        written = (tmp_path / config.name / f"{key}{ending}").read_text(encoding="utf-8")
        assert written == (committed / f"{key}{ending}").read_text(encoding="utf-8"), f"{key}{ending}"


@pytest.mark.parametrize("name", ["quick", "native", "rivals"])
def test_the_committed_page_shows_the_tables_of_its_configuration(name: str, tmp_path: Path) -> None:
    config = config_of(name, tmp_path)
    page = (LEADERBOARDS / config.name / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<section id="(table\w*)"', page)
    assert shown == [Path(table).stem for table in config.tables]
    assert page.count("<img") > 20


def test_the_committed_rows_are_written_as_rows_are() -> None:
    paths = [p for board in LEADERBOARDS.iterdir() for p in sorted((board / "rows").glob("*.json"))]
    own = [p for p in paths if json.loads(p.read_text(encoding="utf-8"))["schema"] == SCHEMA]
    assert len(paths) > 50
    for path in own[::7]:
        assert row_text(read_row(path)) == path.read_text(encoding="utf-8"), path


def test_a_label_that_is_the_same_for_all_seeds_has_a_row_for_each() -> None:
    """Labels without module 3 need no trained denoiser; their differences to those that do are paired over both seeds."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in (LEADERBOARDS / "native" / "rows").glob("*.json")]
    labels = {(r["strategy"], r["seed"]): r["images"] for r in rows if not r["denoiser"]}
    assert len(labels) == 8 and labels["IPv1", 0] == labels["IPv1", 1] and labels["IPv2", 0] != labels["IPv2", 1]
    lines = (LEADERBOARDS / "native" / "table2_differences.csv").read_text(encoding="utf-8").splitlines()
    assert {line.split(",")[2] for line in lines[1:]} >= {"IPv1+1", "IPv1+3", "IPv2"}


def test_the_files_of_the_rows_give_all_tables_and_the_page_again(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "smoke"
    shutil.copytree(smoke.out / "rows", again / "rows")
    shutil.copy(smoke.out / "pictures.json", again)
    words = ["render", "--config", "smoke", f"run.out={tmp_path}"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out.count("numbers mean nothing") == 3 and "without pictures" not in shown.err
    written = {p.name for p in again.iterdir() if p.is_file()}
    endings = (".csv", ".md", "_detail.md", "_differences.csv")
    expected = {f"table{n}{ending}" for n in (1, 2, 3) for ending in endings} | {"index.html", "pictures.json"}
    assert written == expected
    for name in written:
        assert (again / name).read_bytes() == (smoke.out / name).read_bytes(), name
    (again / "pictures.json").unlink()
    assert main(words) == 0
    assert "without pictures" in capsys.readouterr().err
    assert "<img" not in (again / "index.html").read_text()


def test_the_page_is_drawn_again_from_complete_cells(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--config", "smoke", "--quiet", *smoke.settings(tmp_path)]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == tmp_path / "smoke" / "index.html"
    assert page.read_bytes() == (smoke.out / "index.html").read_bytes()
    assert main(["report", "--config", "smoke", "--quiet", *smoke.settings(tmp_path), "train.steps=5"]) == 2
    assert "not complete: run ipv2-bench reproduce with the same settings first" in capsys.readouterr().err
