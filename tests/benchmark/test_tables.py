"""Table specifications: published numbers beside the right rows, and what cannot be used refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipv2_bench.benchmark.cells.denoisers import choose
from ipv2_bench.benchmark.config import Config, default_config, load_config
from ipv2_bench.benchmark.tables import FILTERS, Table, load_table, load_tables
from ipv2_bench.errors import InputError
from tests.program import EXPERIMENTS, ROOT
from tests.program import table as csv_rows

PUBLISHED = sorted((ROOT / "leaderboards" / "published").glob("*.csv"))
METRICS = ("fid", "kid_x100", "clip_fid_x100")


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {t.key: t for t in load_tables(load_config("paper"))}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_each_published_line_belongs_to_exactly_one_row(path: Path, tables: dict[str, Table]) -> None:
    table = tables[path.stem]
    rows = [
        (line.label, choose(Config(), line.denoiser).title if line.denoiser else None, line.strategy.name)
        for line in table.lines
    ]
    written = csv_rows(path)
    assert len(table.published) == len(written) >= 4
    for row in written:
        key = row["label"], row.get("denoiser") or None, row.get("strategy") or row["image_set"].replace("(NDCT)", "")
        assert rows.count(key) == 1, key
        assert table.published[key] == {m: float(row[m]) for m in METRICS}
    # What is not published is one of our own rules, and says so, or stands as floor or ceiling.
    bounds = {"identity", *FILTERS}
    ours = [
        line.strategy.has_options or line.denoiser in bounds or line.strategy.needs_truth
        for line, row in zip(table.lines, rows, strict=True)
        if row not in table.published
    ]
    assert all(ours) and any(line.strategy.has_options for line in table.lines) == (path.stem != "table2")


def test_published_numbers_are_the_papers() -> None:
    numbers = {path.stem: [tuple(float(r[m]) for m in METRICS) for r in csv_rows(path)] for path in PUBLISHED}
    assert {k: len(v) for k, v in numbers.items()} == {"table1": 8, "table2": 4, "table3": 8}
    assert numbers["table1"][0] == (81.78, 4.72, 4.68) and numbers["table1"][-1] == (27.02, 0.58, 1.12)
    assert numbers["table2"][-1] == (36.34, 0.89, 2.49)
    # Table 1's FM under IPv1 is in Table 3 again.
    assert numbers["table3"][4] == numbers["table1"][0]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_published_gains_are_those_of_the_published_values(path: Path) -> None:
    base: dict[str, str] = {}
    for row in csv_rows(path):
        if row["fid_gain_pct"] == "":
            assert row.get("strategy") == "IPv1" or row.get("image_set") == "IPv1(NDCT)"
            base = row
            continue
        for metric, gain in zip(METRICS, ("fid_gain_pct", "kid_gain_pct", "clip_fid_gain_pct"), strict=True):
            expected = 100 * (float(base[metric]) - float(row[metric])) / float(base[metric])
            assert float(row[gain]) == pytest.approx(expected, abs=1.0), (row, metric)


def test_some_tables_by_number(tables: dict[str, Table]) -> None:
    config = load_config("smoke")
    assert [t.key for t in load_tables(config, [3, 1])] == ["table3", "table1"]
    with pytest.raises(InputError, match="table 4 is unknown: use one of 1, 2, 3"):
        load_tables(config, [4])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("row: []\n", r"made\.yaml: 'row' is unknown: did you mean rows\? use one of title, images, published, rows"),
        ("images: pictures\nrows: [{denoiser: fm, strategy: IPv2}]\n", "images is 'pictures': use denoised or label"),
        ("title: none\n", r"made\.yaml has no rows"),
        ("rows: [{denoiser: fm, strategy: IPv9}]\n", r"strategy 'IPv9' is unknown: did you mean IPv.\? use one of IPv1"),
        ("rows: [{denoiser: fm}]\n", "needs a strategy"),
        ("rows: [{strategy: IPv2}]\n", "needs a strategy and a denoiser"),
        ("rows: [{denoiser: fm, strategy: IPv2, label: truth}]\n", r"'truth' is unknown: use one of NDCT, IPv2"),
        ("rows: [{denoiser: fm, strategy: IPv2, backgrund: x}]\n", r"'backgrund' is unknown: did you mean background\? use"),
        ("rows: [{denoiser: fm, strategy: IPv2, background: x}]\n", "background 'x' is unknown: use one of flood_fill"),
        ("published: no.csv\nrows: [{denoiser: fm, strategy: IPv2}]\n", r"published numbers no\.csv do not exist"),
        ("rows: 5\n", "rows is no list of rows"),
        ("rows: [x]\n", "rows is no list of rows"),
        ("rows: [{denoiser: fm, strategy: [a]}]\n", "must be words"),
        ("rows: [{denoiser: 5, strategy: IPv2}]\n", "must be words"),
        ("images: label\nrows: [{strategy: raw}]\n", "strategy raw has no purified label"),
        ("published: numbers.csv\nrows: [{denoiser: fm, strategy: IPv2}]\n", "numbers.csv is no table of published numbers"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "made.yaml").write_text(text)
    (tmp_path / "numbers.csv").write_text("label,denoiser\nNDCT,FM\n")
    with pytest.raises(InputError, match=named):
        load_tables(Config(folder=tmp_path, tables=("made.yaml",)))


def test_a_table_is_found_beside_the_configuration_at_a_path_or_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "title: {}\nrows: [{{denoiser: fm, strategy: IPv2}}]\n"
    for folder in ("beside", "elsewhere", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "table9.yaml").write_text(text.format(folder))
    (tmp_path / "beside" / "mine.yaml").write_text("tables: [table9.yaml, table2.yaml]\n")
    monkeypatch.chdir(tmp_path / "here")
    first, second = load_tables(load_config(tmp_path / "beside" / "mine.yaml"))
    assert (first.title, second.key, second.of_labels) == ("beside", "table2", True) and len(second.published) == 4
    path = tmp_path / "elsewhere" / "table9.yaml"
    assert [t.title for t in load_tables(default_config([f"tables=[{path}]"]))] == ["elsewhere"]
    assert [t.title for t in load_tables(default_config(["tables=[table9.yaml]"]))] == ["here"]
    with pytest.raises(InputError, match=r"the table tabel1.yaml does not exist: did you mean table1.yaml\? there are table"):
        load_tables(default_config(["tables=[tabel1.yaml]"]))


def test_published_numbers_are_found_beside_the_table_or_by_name(tmp_path: Path) -> None:
    text = "published: {}\nrows: [{{denoiser: fm, strategy: IPv2}}]\n"
    table = tmp_path / "table9.yaml"
    table.write_text(text.format("table1.csv"))
    assert load_table(table).published == load_table(EXPERIMENTS / "table1.yaml").published
    (tmp_path / "table1.csv").write_text("label,denoiser,strategy,fid\nNDCT,FM,IPv2,7\n")
    assert load_table(table).published == {("NDCT", "FM", "IPv2"): {"fid": 7.0}}
