"""The HTML page: whole, right, readable by everybody, and silent on the network."""

from __future__ import annotations

import csv
import io
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.compare import compare
from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.lines import MEASURED, lines
from ipv2_bench.benchmark.plan import plan_cells, prepare
from ipv2_bench.benchmark.render import to_csv
from ipv2_bench.benchmark.report import page as pages
from ipv2_bench.benchmark.report import pictures
from ipv2_bench.benchmark.report.bottom_line import bottom_line
from ipv2_bench.benchmark.report.charts import Bar, bars, differences
from ipv2_bench.benchmark.report.command import report
from ipv2_bench.benchmark.report.image_sets import Shown, purified
from ipv2_bench.benchmark.report.pictures import data_uri, encode
from ipv2_bench.benchmark.report.scales import scale, short
from ipv2_bench.benchmark.report.spots import spots
from ipv2_bench.benchmark.report.study_section import study_section
from ipv2_bench.benchmark.reproduce import Outcome, reproduce
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.cli import main
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import Strategy
from tests import chromium
from tests.benchmark.test_reproduce import SMALL, SMOKE
from tests.benchmark.test_tables import a_table, sure

STYLE = (Path(pages.__file__).parent / "style.css").read_text(encoding="utf-8")
VOID = {"meta", "img", "input", "br", "hr", "link", "path", "rect", "circle"}
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


class Page(HTMLParser):
    """Every element with its attributes and all text in it, and complaints about tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[SimpleNamespace] = []
        self.all: list[SimpleNamespace] = []
        self.wrong: list[str] = []
        self.feed(text)
        assert not self.open, self.open[-1]

    def handle_starttag(self, tag: str, attrs: list) -> None:
        element = SimpleNamespace(tag=tag, at=dict(attrs), text="", within=[e.tag for e in self.open])
        self.all.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.all.append(SimpleNamespace(tag=tag, at=dict(attrs), text="", within=[e.tag for e in self.open]))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop().tag != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def of(self, *tags: str) -> list[SimpleNamespace]:
        return [e for e in self.all if e.tag in tags]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Outcome, str]:
    """Tables of all three kinds with two steps of training, in this process."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(SMOKE.parents[1] / "leaderboards" / "published", folder / "leaderboards" / "published")
    for i, (images, rows) in enumerate(TABLES.items(), 1):
        (folder / "experiments").mkdir(exist_ok=True)
        text = (
            f"title: trial {i}\nimages: {images.split()[0]}\npublished: ../leaderboards/published/table{i}.csv\nrows:\n"
        )
        (folder / "experiments" / f"table{i}.yaml").write_text(text + "".join(f"  - {{{row}}}\n" for row in rows))
    shutil.copy(SMOKE, folder / "experiments")
    settings = [f"run.work={folder / 'runs'}", f"run.out={folder / 'out'}", "run.processes=1", "wandb.mode=disabled"]
    config = load_config(folder / "experiments" / "smoke.yaml", [*settings, "train.steps=2", f"title={NASTY}", *SMALL])
    outcome = reproduce(config, progress=False)
    assert not outcome.failures and outcome.page == outcome.out / "index.html"
    return config, outcome, outcome.page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(made: tuple[Config, Outcome, str]) -> Page:
    return Page(made[2])


def test_it_is_well_formed_and_small(made, parsed: Page) -> None:
    assert parsed.wrong == [] and len(made[2].encode()) < 8_000_000
    ids = [e.at["id"] for e in parsed.all if "id" in e.at]
    assert len(ids) == len(set(ids)) > 10
    referred = [i for e in parsed.all for i in [*e.at.get("aria-labelledby", "").split(), e.at.get("for", "")] if i]
    referred += [e.at["href"][1:] for e in parsed.of("a")]
    assert referred and set(referred) <= set(ids)


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
        title, said = (words[i] for i in chart.at["aria-labelledby"].split())
        assert title and re.search(r"\d", said)
    assert all(e.at.get("role") == "img" or e.at.get("aria-hidden") == "true" for e in parsed.of("svg"))


def test_structure_for_a_screen_reader(parsed: Page) -> None:
    assert (
        parsed.of("html")[0].at["lang"] == "en"
        and [len(parsed.of(t)) for t in ("main", "header", "footer", "nav")] == [1] * 4
    )
    levels = [int(e.tag[1]) for e in parsed.of("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1 and levels[0] == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    assert parsed.of("a")[0].at["class"] == "skip" and parsed.of("a")[0].at["href"] == "#main"
    assert len(parsed.of("caption")) == len(parsed.of("table")) >= 8
    assert all(e.at.get("scope") in ("col", "row", "colgroup", "rowgroup") for e in parsed.of("th"))
    regions = [e for e in parsed.all if e.at.get("role") == "region"]
    assert len(regions) == len(parsed.of("table")) and all(
        e.at["tabindex"] == "0" and e.at["aria-label"] for e in regions
    )
    labelled = {e.at.get("for") for e in parsed.of("label")}
    for control in parsed.of("select", "input"):
        assert "label" in control.within or control.at["id"] in labelled
    assert "numbers mean nothing" in next(e.text for e in parsed.all if e.at.get("class") == "banner")


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


def test_every_number_is_that_of_the_csv(made, parsed: Page) -> None:
    for table in load_tables(made[0]):
        with (made[1].out / f"{table.key}.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        first = ["fd_randconv", "kid_x100_randconv", "psnr_db", "ssim", "rmse_hu", "rmse_hu_rim"]
        first += [f"noise_hu_{r}" for r in ("background", "lung", "tissue")]
        assert values_of(parsed, f"{table.key}-values") == [[float(line[m]) for m in first] for line in lines]
        detail = [m for m in MEASURED if m not in (*first, "seconds_per_slice", "network_calls", "inference_memory_mb")]
        expected = [[float(line[m]) for m in detail if line.get(m)] for line in lines]
        assert values_of(parsed, f"{table.key}-detail") == expected
    published = [e.text for e in parsed.of("td") if e.at.get("class") == "published"]
    assert published[:6] == ["81.78", "4.72", "4.68", "39.33", "1", "2.5"] and published[6:9] == ["ours"] * 3
    assert sum(e.text == "—not measured" for e in parsed.of("td")) == 5 + 4 + 4  # FID and its kin, once a line


def test_what_a_user_writes_is_escaped(made, parsed: Page) -> None:
    assert NASTY not in made[2] and len(parsed.of("script")) == 1
    assert parsed.of("h1")[0].text == NASTY
    base, other = (sure(s, [v], denoiser=NASTY, key="x") for s, v in (("IPv1", 3.0), ("IPv2", 1.0)))
    table = a_table()
    text = bottom_line([table], {table.key: [base, other]}) + bars("k", NASTY, [Bar(NASTY, 1.0, group=NASTY)])
    assert "<script" not in text and "&lt;script&gt;" in text


def test_a_second_run_changes_nothing(made) -> None:
    config, outcome, text = made
    before = outcome.page.stat().st_mtime_ns
    assert report(config, progress=False) == outcome.page
    assert outcome.page.stat().st_mtime_ns == before
    outcome.page.write_text("lost")
    report(config, progress=False)
    assert outcome.page.read_text(encoding="utf-8") == text


def test_some_tables_have_a_page_of_their_own(made) -> None:
    config, outcome, text = made
    path = report(config, [3], progress=False)
    assert path.name == "table3.html" and "table1-values" not in path.read_text(encoding="utf-8")
    assert outcome.page.read_text(encoding="utf-8") == text


def test_a_page_of_what_was_not_computed_is_refused(made, capsys) -> None:
    config, outcome, text = made
    where = [f"run.work={config.run.work}", f"run.out={config.run.out}", "train.steps=3", *SMALL]
    assert main(["report", "--quiet", "--config", str(config.folder / "smoke.yaml"), *where]) == 2
    assert "and 5 more are not complete: run ipv2-bench reproduce" in capsys.readouterr().err
    assert outcome.page.read_text(encoding="utf-8") == text
    assert main(["report", "--quiet", "--config", str(config.folder / "smoke.yaml"), "--tables", "x", *where]) == 2


def test_an_error_in_the_page_leaves_the_tables(made, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(pages, "page", lambda *_: 1 / 0)
    outcome = reproduce(made[0], [2], progress=False)
    assert outcome.page is None and not outcome.failures and "Table2" in outcome.markdown["table2"]
    assert "HTML page could not be written (ZeroDivisionError" in capsys.readouterr().err


def test_a_strangers_denoiser_has_a_page(made, monkeypatch: pytest.MonkeyPatch) -> None:
    config, outcome, text = made
    monkeypatch.setattr("ipv2_bench.benchmark.compare.BASELINES", ("fm", "identity"))
    _, compared = compare(config, ["nl_means"], "IPv2", "flood_fill", progress=False)
    assert compared.page == compared.out / "compare_nl_means.html"
    page = Page(compared.page.read_text(encoding="utf-8"))
    assert page.wrong == [] and "against the others" in page.of("main")[0].text
    assert [e.text for e in page.of("option") if "selected" in e.at] == ["uLDCT", "non-local means + IPv2"]
    assert not [e for e in page.all if e.at.get("id") == "study"]  # that is one of all tables
    assert "non-local means + IPv2, slice 1 of 3" in {e.at["alt"] for e in page.of("img")}
    assert outcome.page.read_text(encoding="utf-8") == text


def test_other_tables_leave_the_index_alone() -> None:
    tables = load_tables(load_config(SMOKE))
    assert pages.page_name(load_config(SMOKE), tables) == "index.html"
    assert pages.page_name(load_config(SMOKE), tables[:1]) == "table1.html"
    tuned = load_config(SMOKE, ["tables=[table_tuned.yaml]"])
    assert pages.page_name(tuned, load_tables(tuned)) == "table_tuned.html"
    for name in ("quick", "virtual_scan", "what_matters"):
        preset = load_config(SMOKE.with_name(f"{name}.yaml"))
        assert pages.page_name(preset, load_tables(preset)) == "index.html"
        other = load_config(SMOKE.with_name(f"{name}.yaml"), ["tables=[table_tuned.yaml]"])
        assert pages.page_name(other, load_tables(other)) == "table_tuned.html"


def test_without_a_known_truth_the_page_does_without(made, monkeypatch: pytest.MonkeyPatch) -> None:
    config, _, _ = made
    tables = load_tables(config, [1])
    ready = prepare(config, progress=False)
    results = Results(ready, plan_cells(ready, tables))
    assert "cannot be asked here" in study_section(Path("none"), {}, truth_known=False)
    unknown = SliceSet(**{**{k: getattr(ready.slices, k) for k in ready.slices.__dataclass_fields__}, "truth": None})
    rows = {t.key: results.rows(t) for t in tables}
    for row in (row for of_table in rows.values() for line in of_table for row in line):
        row.data["fidelity"] = {}
    monkeypatch.setattr(results, "ready", type(ready)(**{**vars(ready), "slices": unknown}))
    found = {t.key: lines(t, rows[t.key]) for t in tables}
    page = Page(pages.page(config, tables, rows, found, pages.pictures(results, tables), Path("none")))
    assert page.wrong == [] and not any("aligned truth" in e.at.get("alt", "") for e in page.of("img"))


def contrast(a: str, b: str) -> float:
    """The ratio of WCAG 2 between two colours such as ``#1a2b3c``."""

    def luminance(colour: str) -> float:
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    colours = {n: (a, b)[scheme] for n, a, b in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", STYLE)}
    rules = STYLE[STYLE.index("}") :]
    assert not re.search(r"#[0-9a-f]{3}|rgb|hsl", rules), "every colour stands at the top, so that it is checked here"
    for text in ("ink", "soft", "accent", "good", "bad"):
        for ground in ("paper", "card", "stripe", "warn"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    used = re.findall(r"(?<![-\w])color: var\(--([\w-]+)\)", rules)
    used += re.findall(r"\.chart (?:text|\.tick)[^{}]*\{ fill: var\(--([\w-]+)\)", rules)
    assert {"ink", "soft", "accent"} <= set(used) <= {"ink", "soft", "accent", "good", "bad"}
    grounds = set(re.findall(r"background: var\(--([\w-]+)\)", rules))
    assert grounds <= {"paper", "card", "stripe", "warn", "black", *(f"tone{i}" for i in range(6))}
    for i in range(6):
        assert contrast(colours[f"tone{i}"], colours["card"]) >= 3.0


def test_axes_hold_what_they_show() -> None:
    axis = scale([12.0, 95.0], 100.0, 300.0)
    assert (axis(0.0), axis.ticks()) == (100.0, [0, 20, 40, 60, 80]) and 280 < axis(95.0) < 300
    both = scale([-3.0, 1.0], 0.0, 100.0)
    assert both.ticks() == [-3, -2, -1, 0, 1] and both(-3.0) < both(0.0) < both(1.0)
    log = scale([0.02, 2.0], 0.0, 100.0, log=True)
    assert log.ticks() == [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2] and log(0.2) == pytest.approx(50.0)
    assert scale([0.0], 0.0, 10.0)(0.0) == 0.0
    assert [short(x) for x in (1.2345, -0.5, 620564.0, 39.33)] == ["1.23", "−0.5", "620,564", "39.3"]


def test_a_chart_shows_and_says_its_numbers() -> None:
    rows = [Bar("IPv1", 4.0, 3.0, 5.0, group="FM"), Bar("IPv2", 2.0, tone=1, group="FM")]
    svg = bars("k", "FD", rows)
    assert "FM, IPv1: 4 (3 to 5); FM, IPv2: 2" in svg
    widths = [float(w) for w in re.findall(r'<rect class="tone\d" [^>]*width="([\d.]+)"', svg)]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01) and svg.count('class="whisker"') == 1
    svg = differences("k", "FD", [Bar("FM", -1.0, -2.0, -0.5, firm=True, good=True), Bar("FFM", 0.5, -0.5, 1.5)], True)
    assert 'class="difference good firm"' in svg and 'class="difference bad"' in svg and ">+0.5<" in svg


def test_pictures_are_the_slices(phantom: SliceSet) -> None:
    import base64

    image, window = np.array(phantom.normal[0]), Window()
    uri = data_uri(image, window, 95)
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as shown:
        grey = np.asarray(shown.convert("L"), dtype=float)
    expected = ((window.hu(image) + 1350) / 1500).clip(0, 1) * 255
    assert grey.shape == (128, 128) and np.abs(grey - expected).mean() < 3.0


def test_arrows_point_into_their_regions(phantom: SliceSet) -> None:
    from ipv2_bench.metrics.anatomy import regions

    assert phantom.truth is not None
    where = regions(phantom.truth[1], Window())
    found = spots(phantom.low[1], phantom.truth[1], Window())
    assert [s.name for s in found] == ["lung", "background"]
    for s in found:
        assert where[s.name][s.row, s.column]
        assert s.top <= s.row < s.top + s.side <= 128 and s.left <= s.column < s.left + s.side <= 128
    assert spots(
        np.zeros((64, 64), np.float32), np.zeros((64, 64), np.float32) + np.eye(64, dtype=np.float32), Window()
    )


def test_large_images_leave_out_slices_and_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)
    sets = [Shown("output", f"set {i}", noise) for i in range(4)]

    def encoded(most: float) -> tuple[list[int], int, int]:
        monkeypatch.setattr(pictures, "MOST_BYTES", most)
        slices, quality = encode(sets, [1, 5, 9], [0.7] * 3, [[], [], []], Window())
        return [s.place for s in slices], quality, sum(len(p.whole) for s in slices for p in s.pictures)

    places, quality, size = encoded(1e9)
    assert (places, quality) == ([1, 5, 9], 85)
    for share, kept in ((0.8, 2), (0.5, 1)):
        places, quality, smaller = encoded(share * size)
        assert len(places) == kept and quality == 85 and smaller <= share * size
    places, quality, smaller = encoded(0.28 * size)
    assert places == [5] and quality < 85 and smaller <= 0.28 * size
    assert encoded(0.0)[:2] == ([5], 30)  # the least there is
    monkeypatch.undo()
    assert pictures.MOST_BYTES < 6_000_000


def test_the_shown_input_is_that_of_training(made) -> None:
    ready = prepare(made[0], progress=False)
    index = ready.split.test[:2]
    low, normal = (np.array(a[index]) for a in (ready.slices.low, ready.slices.normal))
    for name in ("IPv1", "IPv2"):
        strategy = Strategy.from_name(name)
        mask = strategy.label_masks(ready.slices)[index] == 255
        shown = purified(ready, strategy, index, seed=0)
        assert np.array_equal(shown[~mask], low[~mask])
        assert np.array_equal(shown[mask], normal[mask]) == (name == "IPv1")  # IPv2 puts noise there


def test_the_study_is_shown_when_it_is_of_these_results(made, tmp_path: Path) -> None:
    found = made[1].lines
    lines = {f"{x.denoiser} + {x.strategy}": x for x in found["table1"]}
    names = ("label", "distance", "truth", "rho", "low", "high", "pairs", "points")
    (tmp_path / "study.csv").write_text(",".join(names) + "\nNDCT,fd_randconv,rmse_hu,0.93,0.6,0.98,0.9,15\n")
    (tmp_path / "study_by_number.csv").write_text(
        "images,extractor,n,frechet\nFM + IPv1,randconv,9,1.5\nFM + IPv1,randconv,18,1.6\nFM + IPv1,randconv,inf,1.7\n"
    )
    sets = [f"{name},1,{x.mean['rmse_hu']:.4g},{x.mean['fd_randconv']:.4g}" for name, x in lines.items()]
    (tmp_path / "study_sets.csv").write_text(
        "images,trained,rmse_hu,fd_randconv to NDCT\n" + "\n".join([*sets, "NDCT,0,999,0"])
    )
    text = study_section(tmp_path, found, truth_known=True)
    assert Page(text).wrong == [] and "0.93" in text and "0.60 to 0.98" in text
    assert "number <strong>1</strong> of 6" in text and "number <strong>6</strong>" in text
    (tmp_path / "study_sets.csv").write_text("images,trained,rmse_hu,fd_randconv to NDCT\nFM + IPv1,1,12345,1.0\n")
    assert "of other results" in study_section(tmp_path, found, truth_known=True)
    assert "Nobody has asked" in study_section(tmp_path / "none", found, truth_known=True)


def test_the_bottom_line_counts_and_says_how_sure() -> None:
    table = a_table()
    base, other = sure("IPv1", [3.0, 3.1, 3.2]), sure("IPv2", [1.0, 1.1, 1.05])
    text = bottom_line([table], {table.key: [base, other]})
    assert "Trained on IPv2 instead of IPv1: <strong>1 of 1</strong> nearer to the NDCT (FD (randconv) −66 %)" in text
    assert '1 of 1<span class="spread"> 1 sure' in text and "3 training seeds and 6 test patients" in text
    worse = bottom_line([table], {table.key: [base, sure("IPv2", [3.2, 3.0, 3.4])]})
    assert "<strong>0 of 1</strong> nearer" in worse and '0 of 1<span class="spread"> 0 sure' in worse
    single = bottom_line([table], {table.key: [sure("IPv1", [3.0]), sure("IPv2", [1.0])]})
    assert "one training seed" in single and "nothing here is called best" in single
    assert "No line of these tables" in bottom_line([table], {table.key: [base]})
    assert to_csv([base], "denoised")


TOO_WIDE = """[...document.querySelectorAll('body *')]
  .filter(e => e.getClientRects().length && !e.closest('.scroll, nav, .unseen'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.skipif(chromium.find() is None, reason="there is no Chromium here")
def test_in_a_browser(made, tmp_path: Path) -> None:
    page = made[1].page
    with chromium.Chromium(tmp_path / "profile") as browser:
        for width, scheme in ((390, "light"), (1440, "dark")):
            browser.open(page, width, scheme=scheme)
            assert browser.run("document.documentElement.scrollWidth") <= width, browser.run(TOO_WIDE)
            assert (
                browser.run("getComputedStyle(document.body).color")
                == ("rgb(26, 32, 39)", "rgb(232, 237, 242)")[width > 390]
            )
            assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.said == [] and {url for url in browser.asked if not url.startswith("data:")} == {page.as_uri()}
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
        named = [
            n for n in browser.send("Accessibility.getFullAXTree")["nodes"] if n.get("role", {}).get("value") == "image"
        ]
        assert len(named) > 30 and all(n["name"]["value"] for n in named if not n["ignored"])
        # What would be an error is seen: the policy stops a request, and the console says so.
        browser.run("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
        browser.run("new Promise(done => setTimeout(done, 300))")
        assert any("Content Security Policy" in text for text in browser.said)
