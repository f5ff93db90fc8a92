"""The HTML page: whole, right, readable by everybody, and silent on the network."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.rows.make import Rows, TableRows
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.tables import NDCT, Table, TableLine, load_tables
from ipv2_bench.benchmark.tasks.render import report
from ipv2_bench.benchmark.views.html import page as pages
from ipv2_bench.benchmark.views.html.image_sets import training_input
from ipv2_bench.benchmark.views.html.page import HERO, draw_page, page_name, try_page, write_page
from ipv2_bench.benchmark.views.html.picture_file import picture_path
from ipv2_bench.benchmark.views.html.pictures import draw_pictures, kept_pictures
from ipv2_bench.benchmark.views.html.sections.detection import detection_section
from ipv2_bench.benchmark.views.html.sections.study import study_section
from ipv2_bench.benchmark.views.table_csv import table_csv
from ipv2_bench.benchmark.views.table_view import DETAIL, MAIN, TableView
from ipv2_bench.benchmark.views.tables import table_views
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.errors import InputError
from ipv2_bench.purification.strategy import Strategy
from tests import chromium
from tests.program import EXPERIMENTS, SMALL
from tests.views.html_page import Page

HERE = Path(pages.__file__).parent
STYLE = (HERE / "style.css").read_text(encoding="utf-8")
NASTY = '<script>alert("x")</script>'

TABLES = {
    "denoised": (
        *(f"denoiser: fm, strategy: {s}" for s in ("IPv1", "IPv2", "IPv2, background: both_outside")),
        *(f"denoiser: corediff, strategy: {s}" for s in ("IPv1", "IPv2")),
    ),
    "label": [f"strategy: {s}" for s in ("IPv1", "IPv1+1", "IPv1+3", "IPv2")],
    "denoised again": [
        f"label: {x}, denoiser: fm, strategy: {s}" for x in ("IPv2(NDCT)", "NDCT") for s in ("IPv1", "IPv1+1+2")
    ],
}
"""Rows of tables that together need six cells."""


@dataclass(frozen=True)
class Written:
    """A complete benchmark, its rows, and its page."""

    benchmark: Benchmark
    rows: TableRows
    path: Path

    @property
    def config(self) -> Config:
        return self.benchmark.config

    @property
    def tables(self) -> tuple[Table, ...]:
        return self.benchmark.tables

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def views(self) -> list[TableView]:
        views = table_views(self.config, self.tables, self.rows)
        return [views[table.key] for table in self.tables]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Tables of all three kinds with two steps of training, in this process."""
    folder = tmp_path_factory.mktemp("html")
    for i, (images, rows) in enumerate(TABLES.items(), 1):
        text = f"title: trial {i}\nimages: {images.split()[0]}\npublished: table{i}.csv\nrows:\n"
        (folder / f"table{i}.yaml").write_text(text + "".join(f"  - {{{row}}}\n" for row in rows))
    shutil.copy(EXPERIMENTS / "smoke.yaml", folder)
    settings = [f"run.work={folder / 'runs'}", f"run.out={folder / 'out'}", "run.processes=1", "wandb.mode=disabled"]
    config = load_config(folder / "smoke.yaml", [*settings, "train.steps=2", f"title={NASTY}", *SMALL])
    benchmark = Benchmark.open(config, load_tables(config), progress=False)
    assert not benchmark.compute(progress=False)
    rows = Rows(benchmark).of_tables()
    path = try_page(benchmark, rows, config.out)
    assert path == config.out / "index.html"
    return Written(benchmark, rows, path)


@pytest.fixture(scope="module")
def parsed(written: Written) -> Page:
    return Page(written.text)


def test_it_is_well_formed_and_small(written: Written, parsed: Page) -> None:
    assert parsed.wrong == [] and len(written.text.encode()) < 8_000_000
    ids = [e.at["id"] for e in parsed.all if "id" in e.at]
    assert len(ids) == len(set(ids)) > 10
    referred = [i for e in parsed.all for i in [*e.at.get("aria-labelledby", "").split(), e.at.get("for", "")] if i]
    referred += [e.at["href"][1:] for e in parsed.of("a")]
    assert referred and set(referred) <= set(ids)


def test_its_sections_are_in_the_order_in_which_a_reader_asks(parsed: Page) -> None:
    order = ["ranking", "outcome", "pictures", "table1", "table2", "table3", "cost", "study"]
    assert [e.at["id"] for e in parsed.of("section")] == order
    assert [e.at["href"] for e in parsed.of("a") if "nav" in e.within] == [f"#{key}" for key in order]


def test_it_loads_nothing(parsed: Page) -> None:
    loading = [
        e.at[k] for e in parsed.all if e.tag != "a" for k in ("src", "href", "data", "srcset", "poster") if k in e.at
    ]
    assert len(loading) > 50 and all(x.startswith("data:image/webp;base64,") for x in loading)
    assert not parsed.of("link", "iframe", "object", "embed") and "url(" not in STYLE and "@import" not in STYLE
    policy = next(e.at["content"] for e in parsed.of("meta") if e.at.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "http" not in policy


def test_every_image_and_chart_says_what_it_is(parsed: Page) -> None:
    alts = [e.at.get("alt", "") for e in parsed.of("img")]
    assert len(alts) > 50 and all(alts)
    assert {"uLDCT, slice 1 of 3", "FM + IPv2, slice 2 of 3", "IPv2 input, slice 3 of 3"} <= set(alts)
    charts = [e for e in parsed.of("svg") if e.at.get("role") == "img"]
    words = {e.at["id"]: e.text for e in parsed.of("title", "desc") if "id" in e.at}
    assert len(charts) >= 15
    for chart in charts:
        title, description = (words[i] for i in chart.at["aria-labelledby"].split())
        assert title and re.search(r"\d", description)
    assert all(e.at.get("role") == "img" or e.at.get("aria-hidden") == "true" for e in parsed.of("svg"))


def test_structure_for_a_screen_reader(parsed: Page) -> None:
    assert parsed.of("html")[0].at["lang"] == "en"
    assert [len(parsed.of(t)) for t in ("main", "header", "footer", "nav")] == [1] * 4
    levels = [int(e.tag[1]) for e in parsed.of("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1 and levels[0] == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    assert parsed.of("a")[0].at["class"] == "skip" and parsed.of("a")[0].at["href"] == "#main"
    assert len(parsed.of("caption")) == len(parsed.of("table")) >= 8
    assert all(e.at.get("scope") in ("col", "row", "colgroup", "rowgroup") for e in parsed.of("th"))
    regions = [e for e in parsed.all if e.at.get("role") == "region"]
    assert len(regions) == len(parsed.of("table"))
    assert all(e.at["tabindex"] == "0" and e.at["aria-label"] for e in regions)
    labelled = {e.at.get("for") for e in parsed.of("label")}
    for control in parsed.of("select", "input"):
        assert "label" in control.within or control.at["id"] in labelled
    assert "numbers mean nothing" in next(e.text for e in parsed.all if e.at.get("class") == "banner")
    assert "normal-dose CT" in parsed.of("header")[0].text  # abbreviations are spelled out at their first use


def values_of(page: Page, key: str) -> list[list[float]]:
    """The measured values of a table's rows, in order."""
    start = next(i for i, e in enumerate(page.all) if e.at.get("id") == key)
    rows: list[list[float]] = []
    for e in page.all[start + 1 :]:
        if e.at.get("role") == "region" or e.tag == "footer":
            break
        if e.tag == "tr":
            rows.append([])
        elif e.tag == "data":
            rows[-1].append(float(e.at["value"]))
            assert float(e.text.replace("−", "-")) == pytest.approx(rows[-1][-1], rel=0.006, abs=6e-4)
    return [row for row in rows if row]


def test_the_ranking_has_the_numbers_of_the_csv_in_their_order(written: Written, parsed: Page) -> None:
    expected = {}
    for view in (view for view in written.views if not view.table.of_labels):
        for text in csv.DictReader(io.StringIO(table_csv(view))):
            if text["label"] == NDCT:
                names = ("rmse_hu", "noise_hu_lung", "edge_mtf50", "seconds_per_slice")
                expected.setdefault(f"{text['denoiser']} + {text['strategy']}", [float(text[n]) for n in names if text[n]])
    start = next(i for i, e in enumerate(parsed.all) if e.at.get("id") == "ranking-values")
    end = next(i for i, e in enumerate(parsed.all) if e.at.get("id") == "outcome")
    names = [e.text for e in parsed.all[start:end] if e.at.get("scope") == "row"]
    # IPv1+1+2 is IPv2 against the NDCT, and is not shown again.
    assert set(expected) - set(names) == {"FM + IPv1+1+2"} and set(names) <= set(expected)
    values = values_of(parsed, "ranking-values")
    assert values == [expected[name] for name in names]
    errors = [row[0] for row in values]
    assert errors == sorted(errors) and len(errors) == 5
    assert [e.text for e in parsed.all[start:end] if e.tag == "td" and e.text.isdigit()] == list("12345")


def test_every_number_is_that_of_the_csv(written: Written, parsed: Page) -> None:
    for view in written.views:
        lines = list(csv.DictReader(io.StringIO(table_csv(view))))
        for part, groups in (("values", MAIN), ("detail", DETAIL)):
            names = view.catalogue.of_group(*groups)
            expected = [[float(line[name]) for name in names if line.get(name)] for line in lines]
            assert values_of(parsed, f"{view.table.key}-{part}") == expected
            assert all(len(row) > 4 for row in expected)
    published = [e.text for e in parsed.of("td") if e.at.get("class") == "published"]
    assert published[:6] == ["81.78", "4.72", "4.68", "39.33", "1", "2.5"] and published[6:9] == ["ours"] * 3
    # FID, once a line, beside the published one; without its weights.
    cells = list(pairwise(parsed.of("td")))
    assert sum(a.text == "—not measured" and b.at.get("class") == "published" for a, b in cells) == 5 + 4 + 4


def test_headings_and_what_they_mean_are_those_of_the_catalogue(written: Written, parsed: Page) -> None:
    view = written.views[0]
    shown = {(e.text, e.at.get("title")) for e in parsed.of("th") if e.at.get("scope") == "col"}
    assert {(column.heading, column.explanation) for column in view.present(*MAIN, *DETAIL)} <= shown


def test_what_a_user_writes_is_escaped(written: Written, parsed: Page) -> None:
    assert NASTY not in written.text and len(parsed.of("script")) == 1
    assert parsed.of("h1")[0].text == NASTY and NASTY in parsed.of("title")[0].text


def test_all_html_is_in_the_templates() -> None:
    for path in HERE.rglob("*.py"):
        assert not re.search(r"</?[a-z]+[ >]|html import escape", path.read_text(encoding="utf-8")), path.name


def test_a_second_run_changes_nothing(written: Written) -> None:
    files = (written.path, picture_path(written.config.out, "index.html"))
    before, text = [path.stat().st_mtime_ns for path in files], written.text
    assert report(written.config, progress=False) == written.path
    assert [path.stat().st_mtime_ns for path in files] == before
    written.path.write_text("lost")
    report(written.config, progress=False)
    assert written.text == text


def test_a_page_of_rows_alone_keeps_its_pictures(written: Written, tmp_path: Path) -> None:
    name = page_name(written.config, written.tables)
    kept = kept_pictures(written.config.out, name, written.rows)
    assert kept is not None and kept.hero is not None
    assert kept == draw_pictures(written.benchmark, written.rows, written.path.with_name(HERO))
    assert write_page(written.config, written.tables, written.rows, kept, tmp_path).read_text() == written.text
    bare = Page(write_page(written.config, written.tables, written.rows, None, tmp_path).read_text())
    assert bare.wrong == [] and not bare.of("img") and "pictures" not in {e.at.get("id") for e in bare.all}
    # Nothing is read back out of the page, and other pictures are not taken.
    assert kept_pictures(tmp_path, name, written.rows) is None
    some = {key: rows[:1] for key, rows in written.rows.items()}
    assert kept_pictures(written.config.out, name, some) is None
    path = picture_path(tmp_path, name)
    text = picture_path(written.config.out, name).read_text()
    changes = (('"schema": 1', '"schema": 2'), ('"whole": "', '"whole": "&lt;'), ('"shown_first": ', '"shown_first": 9'))
    changes += (('"title": "uLDCT"', '"title": "other"'), ('"parts": [', '"parts": ["AAAA",'))
    assert all(old in text for old, _ in changes)
    for broken in ("", "[]", *(text.replace(old, new, 1) for old, new in changes)):
        path.write_text(broken)
        assert kept_pictures(tmp_path, name, written.rows) is None
    path.write_text(text)
    assert kept_pictures(tmp_path, name, written.rows) == kept


def test_a_page_is_written_without_torch() -> None:
    code = "import sys, ipv2_bench.benchmark.views.html.page; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "skimage", "matplotlib", "pandas"} & set(done.stdout.split())


def test_some_tables_have_a_page_of_their_own(written: Written) -> None:
    text = written.text
    path = report(written.config, [3], progress=False)
    assert path.name == "table3.html" and "table1-values" not in path.read_text(encoding="utf-8")
    assert path.with_name("table3.pictures.json").is_file()
    assert written.text == text


def test_a_page_of_what_was_not_computed_is_refused(written: Written) -> None:
    text = written.text
    train = written.config.train.model_copy(update={"steps": 3})
    with pytest.raises(InputError, match=r"and 5 more are not complete: run ipv2-bench reproduce"):
        report(written.config.model_copy(update={"train": train}), progress=False)
    assert written.text == text


def test_an_error_in_the_page_is_reported(written: Written, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(pages, "page", lambda *_: 1 / 0)
    assert try_page(written.benchmark, written.rows, written.config.out) is None
    assert "HTML page could not be written (ZeroDivisionError" in capsys.readouterr().err


def test_a_strangers_denoiser_has_a_page(written: Written) -> None:
    text, names = written.text, ("fm", "identity", "nl_means")
    lines = tuple(TableLine(NDCT, name, Strategy.from_name("IPv2")) for name in names)
    table = Table("compare_nl_means", "nl_means beside the baselines", False, lines, {}, newcomers=("nl_means",))
    benchmark = Benchmark.open(written.config, [table], progress=False)
    assert not benchmark.compute(progress=False)
    path = draw_page(benchmark, Rows(benchmark).of_tables(), written.config.out)
    assert path.name == "compare_nl_means.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.wrong == [] and "against the others" in page.of("main")[0].text
    assert [e.text for e in page.of("option") if "selected" in e.at] == ["uLDCT", "non-local means + IPv2"]
    assert not [e for e in page.all if e.at.get("id") == "study"]  # that is one of all tables
    assert "non-local means + IPv2, slice 1 of 3" in {e.at["alt"] for e in page.of("img")}
    assert written.text == text


@pytest.mark.parametrize("name", ["smoke", "quick", "native", "rivals"])
def test_other_tables_leave_the_index_alone(name: str) -> None:
    config = load_config(name)
    tables = load_tables(config)
    assert page_name(config, tables) == "index.html"
    if len(tables) > 1:
        assert page_name(config, tables[:1]) == f"{tables[0].key}.html"
    other = load_config(name, ["tables=[table_tuned.yaml]"])
    assert page_name(other, load_tables(other)) == "table_tuned.html"


def test_without_a_known_truth_the_page_does_without(written: Written, tmp_path: Path) -> None:
    unknown = replace(written.benchmark.prepared.slices, truth=None)
    benchmark = replace(written.benchmark, prepared=replace(written.benchmark.prepared, slices=unknown))
    columns = written.views[0].catalogue.columns

    def blind(row: Row) -> Row:
        measures = {k: v for k, v in row.measures.items() if k not in columns or "truth" not in columns[k].needs}
        return row.model_copy(update={"measures": measures})

    rows = {key: [[blind(row) for row in line] for line in lines] for key, lines in written.rows.items()}
    pictures = draw_pictures(benchmark, rows)
    page = Page(write_page(written.config, written.tables, rows, pictures, tmp_path).read_text())
    assert page.wrong == [] and page.of("img")
    assert not any("aligned truth" in e.at.get("alt", "") for e in page.of("img"))
    assert "cannot be asked here" in page.of("main")[0].text


def test_the_shown_input_is_that_of_training(written: Written) -> None:
    prepared = written.benchmark.prepared
    index = prepared.split.test[:2]
    low, normal = (np.array(a[index]) for a in (prepared.slices.low, prepared.slices.normal))
    for name in ("IPv1", "IPv2"):
        strategy = Strategy.from_name(name)
        mask = strategy.label_masks(prepared.slices)[index] == 255
        shown = training_input(prepared, strategy, index, seed=0)
        assert np.array_equal(shown[~mask], low[~mask])
        assert np.array_equal(shown[mask], normal[mask]) == (name == "IPv1")  # IPv2 puts noise there


def test_rivals_are_shown_at_the_size_of_the_slices(tmp_path: Path) -> None:
    """Neighbor2Neighbor trains on images of half the size, registration on another target, raw and others on the uLDCT itself."""
    names = ("raw", "neighbor2neighbor", "registered", "patch_similarity", "correction", "oracle")
    config = load_config("smoke", [f"run.work={tmp_path}", f"run.out={tmp_path / 'out'}", "noise.calibrate=false", *SMALL])
    table = Table("rivals", "rivals", False, tuple(TableLine(NDCT, "gaussian", Strategy.from_name(x)) for x in names), {})
    benchmark = Benchmark.open(config, [table], progress=False)
    assert not benchmark.compute(progress=False)
    rows = Rows(benchmark).of_tables()
    pictures = draw_pictures(benchmark, rows)
    shown = [picture.title for picture in pictures.slices[0].pictures if picture.group == "input"]
    assert shown == ["uLDCT, as it is", "neighbor2neighbor input", "registered target"]
    page = Page(write_page(config, [table], rows, pictures, tmp_path).read_text(encoding="utf-8"))
    assert page.wrong == [] and len(page.of("img")) > 10


def test_nodules_are_shown_where_they_were_looked_for_in_these_images(tmp_path: Path) -> None:
    names = ("images", "seed", "cell", "LG-CHO 6 mm d'", "LG-CHO 6 mm AUC", "LG-CHO 6 mm AUC low", "LG-CHO 6 mm AUC high")
    own, other = ("FM + <b>", 0, "own", 9, 1, "", ""), ("TV", 0, "other", 1, 0.5, 0, 1)
    lines = (names, ("uLDCT", "", "", 2.12, 0.938, 0.861, 0.974), own, other)
    (tmp_path / "detection_solid.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    section = detection_section(tmp_path, {"own"})
    assert section is not None and [(t.kind, t.sizes) for t in section.tables] == [("solid", ("6 mm",)), ("solid", ())]
    text = render("detection.html.j2", section=section)
    assert Page(text).wrong == [] and "FM + &lt;b&gt;" in text and "TV" not in text
    assert "0.94 <span class=\"spread\">0.86 to 0.97</span>" in text and "1.00<span class=\"change\">d′ 9.0</span>" in text
    assert detection_section(tmp_path, {"of another run"}) is None and detection_section(tmp_path / "none", {"own"}) is None


def test_the_study_is_shown_when_it_is_of_these_results(written: Written, tmp_path: Path) -> None:
    def study(folder: Path) -> str:
        text = render("study.html.j2", section=study_section(folder, written.views, truth_known=True))
        assert Page(text).wrong == []
        return text

    lines = {x.name: x for x in written.views[0].lines}
    names = ("label", "distance", "truth", "rho", "low", "high", "pairs", "points")
    (tmp_path / "study.csv").write_text(",".join(names) + "\nNDCT,fd_randconv,rmse_hu,0.93,0.6,0.98,0.9,15\n")
    (tmp_path / "study_by_number.csv").write_text(
        "images,extractor,n,frechet\nFM + IPv1,randconv,9,1.5\nFM + IPv1,randconv,18,1.6\nFM + IPv1,randconv,inf,1.7\n"
    )
    sets = [f"{name},1,{x.mean['rmse_hu']:.4g},{x.mean['fd_randconv']:.4g}" for name, x in lines.items()]
    (tmp_path / "study_sets.csv").write_text(
        "images,trained,rmse_hu,fd_randconv to NDCT\n" + "\n".join([*sets, "NDCT,0,999,0"])
    )
    text = study(tmp_path)
    assert "0.93" in text and "0.60 to 0.98" in text and text.count("∞") == 0
    assert "number <strong>1</strong> of 6" in text and "number <strong>6</strong>" in text
    (tmp_path / "study_sets.csv").write_text("images,trained,rmse_hu,fd_randconv to NDCT\nFM + IPv1,1,12345,1.0\n")
    assert "of other results" in study(tmp_path)
    assert "no study of these tables yet" in study(tmp_path / "none")


TOO_WIDE = """[...document.querySelectorAll('body *')]
  .filter(e => e.getClientRects().length && !e.closest('.scroll, nav, .unseen'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.outerHTML.slice(0, 80))"""


def _try_the_ranking(browser: chromium.Chromium) -> None:
    """Rows sort, filter, show their image and are saved; the link holds the slider's state."""
    names = "[...document.querySelectorAll('.ranking tbody tr')].filter(r => !r.hidden).map(r => r.cells[1].textContent)"
    before = browser.run(names)
    heads = "document.querySelectorAll('.ranking thead th')"
    browser.run(f"{heads}[2].click()")
    assert browser.run(names) == before and browser.run(f"{heads}[2].getAttribute('aria-sort')") == "ascending"
    browser.run(f"{heads}[2].click()")
    assert browser.run(names) == before[::-1]
    browser.run(f"{heads}[1].click()")
    assert browser.run(names) == sorted(before, key=str.lower)
    browser.run("const f = document.getElementById('filter'); f.value = 'coreDIFF'; f.dispatchEvent(new Event('input'))")
    found = browser.run(names)
    assert len(found) == 2 and all("CoreDiff" in name for name in found)
    browser.run("window.saved = []; URL.createObjectURL = blob => { saved.push(blob); return 'blob:x' }")
    browser.run("URL.revokeObjectURL = () => {}")
    browser.run("HTMLAnchorElement.prototype.click = function () {}")
    browser.run("document.getElementById('csv').click(); document.getElementById('json').click()")
    text, data = browser.run("Promise.all(saved.map(blob => blob.text()))")
    rows, records = list(csv.DictReader(io.StringIO(text))), json.loads(data)
    assert [row["name"] for row in rows] == [record["name"] for record in records] == found
    for row, record in zip(rows, records, strict=True):
        assert float(row["rmse_hu"]) == record["rmse_hu"] and record["rmse_hu_low"] < record["rmse_hu"] < record["rmse_hu_high"]
    browser.run("document.querySelector('.ranking tbody tr:not([hidden]) button').click()")
    shown = "document.querySelector('.stage .right figcaption').textContent"
    assert browser.run(shown) == found[0]
    lung = browser.run("document.querySelector('.stage .right img').src")
    browser.run("const w = document.getElementById('window'); w.value = 'mediastinum'; w.dispatchEvent(new Event('change'))")
    soft = browser.run("document.querySelector('.stage .right img').src")
    assert soft != lung and soft.startswith("data:image/webp")
    link = browser.run("location.hash")
    assert "window=mediastinum" in link and "CoreDiff" in link
    browser.run(f"location.hash = {link.replace('mediastinum', 'lung')!r}")
    browser.run("new Promise(done => setTimeout(done, 100))")
    assert browser.run("document.querySelector('.stage .right img').src") == lung


@pytest.mark.skipif(chromium.find() is None, reason="there is no Chromium here")
def test_in_a_browser(written: Written, tmp_path: Path) -> None:
    page = written.path
    with chromium.Chromium(tmp_path / "profile") as browser:
        for width, scheme in ((390, "light"), (1440, "dark")):
            browser.open(page, width, scheme=scheme)
            assert browser.run("document.documentElement.scrollWidth") <= width, browser.run(TOO_WIDE)
            colour = ("rgb(26, 32, 39)", "rgb(232, 237, 242)")[width > 390]
            assert browser.run("getComputedStyle(document.body).color") == colour
            assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.messages == []
        assert {url for url in browser.requests if not url.startswith("data:")} == {page.as_uri()}
        # Tab leads to the skip link first; the slider and the choices work with keys alone.
        browser.press("Tab", 9)
        assert browser.run("document.activeElement.className") == "skip"
        browser.run("document.getElementById('cut').focus()")
        before = browser.run("getComputedStyle(document.querySelector('.stage .left')).clipPath")
        browser.press("ArrowRight", 39)
        assert browser.run("getComputedStyle(document.querySelector('.stage .left')).clipPath") != before
        assert "51 percent uLDCT" in browser.run("document.getElementById('cut').getAttribute('aria-valuetext')")
        last = browser.run("document.getElementById('right').options.length - 1")
        browser.run(f"right.value = {last}; right.dispatchEvent(new Event('change'))")
        same = f"document.querySelector('.stage .right img').src === document.getElementById('s1i{last}').src"
        assert browser.run(same)
        _try_the_ranking(browser)
        tree = browser.send("Accessibility.getFullAXTree")["nodes"]
        named = [node for node in tree if node.get("role", {}).get("value") == "image"]
        assert len(named) > 30 and all(node["name"]["value"] for node in named if not node["ignored"])
        # What would be an error is seen: the policy stops a request, and the console says so.
        browser.run("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
        browser.run("new Promise(done => setTimeout(done, 300))")
        assert any("Content Security Policy" in text for text in browser.messages)
        # Without pictures the script does the rest.
        bare = write_page(written.config, written.tables, written.rows, None, tmp_path)
        browser.messages.clear()
        browser.open(bare, 390)
        assert browser.messages == [] and not browser.run("document.getElementById('theme').hidden")
