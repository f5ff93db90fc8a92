"""Parts of the page: costs that can be compared, a study with empty cells, abbreviations, and what is left of earlier results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.settings import TrainSettings
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.tasks.reproduce import _report_earlier_pictures
from ipv2_bench.benchmark.views.earlier import earlier_files
from ipv2_bench.benchmark.views.html import page as pages
from ipv2_bench.benchmark.views.html.abbreviations import ABBREVIATIONS, abbreviations_in
from ipv2_bench.benchmark.views.html.page import try_page
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.html.sections.cost import CostSection, cost_section
from ipv2_bench.benchmark.views.html.sections.study import study_section
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.metrics.catalogue import catalogue
from tests.benchmark.examples import COST, a_line, a_row, a_table, a_view, table_line
from tests.conftest import Smoke


def a_cost(key: str, title: str, strategy: str = "IPv2", budget: int = 4, **cost: Any) -> Row:
    row = a_row(0, key, strategy, title, provenance={"budget": TrainSettings(steps=budget)}, rmse_hu=9.0)
    return row.model_copy(update={"cost": COST.model_copy(update=cost)})


def section_of(*rows: Row) -> CostSection:
    table = a_table(lines=[table_line(row.strategy, row.denoiser_key) for row in rows])
    view = TableView.of(table, [[row] for row in rows], catalogue())
    section = cost_section([view], {table.key: [[row] for row in rows]}, Palette.of([view]))
    assert section is not None
    return section


def html_of(section: CostSection) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", render("cost.html.j2", cost=section)).split())


def test_costs_of_one_machine_are_compared() -> None:
    section = section_of(a_cost("fm", "FM"), a_cost("ffm", "FFM", seconds_per_slice=0.25))
    assert section.machine == "example, 1 thread" and section.elsewhere == () and section.spread is None
    assert section.chart is not None and len(section.chart.marks) == 2
    assert "same machine computed (example, 1 thread)" in html_of(section)
    assert "trained for 4 steps of batch" in html_of(section) and "seconds of training" in section.headings


def test_what_another_machine_computed_is_left_out() -> None:
    rows = a_cost("fm", "FM"), a_cost("ffm", "FFM"), a_cost("corediff", "CoreDiff", device="a GPU", seconds_per_slice=0.001)
    section = section_of(*rows)
    assert section.elsewhere == ("CoreDiff + IPv2",) and section.chart is not None and len(section.chart.marks) == 2
    shown = dict(zip(section.headings, section.rows[2].numbers, strict=True))
    assert shown["seconds per slice"] is shown["memory MB"] is shown["seconds of training"] is None
    assert (shown["network calls"], shown["parameters"], shown["RMSE HU"]) == ("2", "1,000", "9")
    assert "since another machine computed them: CoreDiff + IPv2." in html_of(section)
    other_threads = section_of(*rows[:2], a_cost("corediff", "CoreDiff", threads=8))
    assert other_threads.elsewhere == ("CoreDiff + IPv2",)


def test_times_of_unlike_trainings_are_left_out() -> None:
    section = section_of(a_cost("fm", "FM"), a_cost("ffm", "FFM", budget=400))
    assert "seconds of training" not in section.headings and section.training is None
    assert "trained for" not in html_of(section)


def test_times_that_differ_for_the_same_work_are_called_rough() -> None:
    section = section_of(a_cost("fm", "FM"), a_cost("fm", "FM", "IPv1", seconds_per_slice=0.1))
    assert section.spread == "5.0" and "differ up to 5.0 times here" in html_of(section)


def test_no_time_has_no_place_on_a_logarithmic_axis() -> None:
    section = section_of(a_cost("fm", "FM"), a_cost("identity", "identity", seconds_per_slice=0.0))
    assert section.chart is not None and len(section.chart.marks) == 1 and len(section.rows) == 2
    assert section_of(a_cost("identity", "identity", seconds_per_slice=0.0)).chart is None


def test_empty_cells_of_a_study_are_left_out(tmp_path: Path) -> None:
    view = a_view([a_line("IPv2", {"rmse_hu": [50.0], "fd_randconv": [1.0]})])
    names = "label,distance,truth,rho,low,high,pairs,points\n"
    (tmp_path / "study.csv").write_text(
        f"{names}NDCT,fd_randconv,rmse_hu,,0.1,,,4\nNDCT,kid_x100_randconv,rmse_hu,0.5,,0.7,0.75,4\n"
    )
    (tmp_path / "study_by_number.csv").write_text("images,extractor,n,frechet\nFM + IPv2,randconv,9,\nFM + IPv2,randconv,,1\n")
    (tmp_path / "study_sets.csv").write_text(
        "images,trained,rmse_hu,fd_randconv to NDCT\nFM + IPv2,1,50,1\nFM + IPv1,1,,2\nNDCT,0,143,\naligned truth,0,0,0.1\n"
    )
    section = study_section(tmp_path, [view], truth_known=True)
    assert section.study is not None and section.study.copyist is None
    unknown, known = (row.correlations[0] for row in section.study.rows)
    assert (unknown.rho, unknown.range, unknown.pairs) == ("—", "", "")
    assert (known.rho, known.range, known.pairs) == ("0.50", "", "75 %")
    (chart,) = section.study.charts
    assert len(chart.marks) == 2
    text = render("study.html.j2", section=section)
    assert "nan" not in text and text.count("of pairs") == 1


def test_abbreviations_of_the_page_are_spelled_out_once(smoke: Smoke) -> None:
    text = (smoke.out / "index.html").read_text(encoding="utf-8")
    for short in ("FID", "KID", "CLIP", "MTF", "NPS", "HU", "IPv1, IPv2", "uLDCT", "NDCT", "FM", "FFM", "RMSE"):
        assert text.count(f"<dt>{short}</dt><dd>{ABBREVIATIONS[short]}</dd>") == 1, short
    assert text.count("<dt>[both_outside]</dt>") == 1
    found = abbreviations_in("<td>5 HU</td> MTF50 <img src='data:image/webp;base64,AA/FM+FFM/KID='>")
    assert list(found) == ["HU", "MTF"]


def test_wide_tables_say_that_they_scroll(smoke: Smoke) -> None:
    text = (smoke.out / "index.html").read_text(encoding="utf-8")
    hints = re.findall(r'<p class="sideways" hidden>[^<]+</p><div class="scroll"', text)
    assert len(hints) == text.count('<div class="scroll"') > 5


def test_what_is_left_of_earlier_results_is_named(tmp_path: Path) -> None:
    assert earlier_files([tmp_path / "index.html"]) is None
    (tmp_path / "index.html").write_text("old")
    text = earlier_files([tmp_path / "slice.png", tmp_path / "index.html"])
    assert text == f"of earlier results, not of these tables: index.html in {tmp_path}"


def test_a_page_that_cannot_be_written_does_not_hide_that_an_earlier_one_is_there(
    smoke: Smoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "draw_page", lambda *_: 1 / 0)
    benchmark = smoke.benchmark(tmp_path)
    assert try_page(benchmark, {}, tmp_path) is None
    assert "the tables are complete\n" in capsys.readouterr().err
    (tmp_path / "index.html").write_text("old")
    assert try_page(benchmark, {}, tmp_path) is None
    said = capsys.readouterr().err
    assert "could not be written (ZeroDivisionError" in said
    assert f"; of earlier results, not of these tables: index.html in {tmp_path}\n" in said


def test_pictures_of_earlier_results_are_named_where_cells_fail(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = smoke.config(tmp_path)
    tables = load_tables(config)
    _report_earlier_pictures(config, tables)
    assert capsys.readouterr().err == ""
    config.out.mkdir(parents=True)
    for name in ("index.html", "table2.png", "slice.png", "table9.png"):
        (config.out / name).write_text("old")
    _report_earlier_pictures(config, tables)
    said = capsys.readouterr().err
    assert f"of earlier results, not of these tables: index.html, table2.png, slice.png in {config.out}\n" in said
