"""Parts of the HTML page by themselves: charts, results in words, colours, pictures."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.tables import NDCT, Table, TableLine
from ipv2_bench.benchmark.views.html import page as pages
from ipv2_bench.benchmark.views.html import pictures
from ipv2_bench.benchmark.views.html.charts.bars import Bar, BarChart, bars, differences
from ipv2_bench.benchmark.views.html.charts.points import ChartPoint, points
from ipv2_bench.benchmark.views.html.charts.scale import scale, short
from ipv2_bench.benchmark.views.html.image_sets import ShownSet
from ipv2_bench.benchmark.views.html.main_measures import asked, prices
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.html.pictures import encode, webp
from ipv2_bench.benchmark.views.html.sections.cost import cost_section
from ipv2_bench.benchmark.views.html.sections.outcome import outcome_section
from ipv2_bench.benchmark.views.html.sections.tables import table_section
from ipv2_bench.benchmark.views.html.spots import find_spots
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.templating import environment, render
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.uncertainty import draw_slices
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.strategy import Strategy
from tests.views.html_page import Page, contrast

STYLE = (Path(pages.__file__).parent / "style.css").read_text(encoding="utf-8")
NASTY = '<script>alert("x")</script>'
SAMPLE = draw_slices([str(p) for p in range(6) for _ in range(2)], replicates=100).sample


def line(strategy: str, values: Sequence[float], denoiser: str | None = "FM", key: str | None = "fm", **more: Any) -> Line:
    """A line whose distance has these values over seeds, and draws that spread around them by 0.01."""
    rng = np.random.default_rng(list(strategy.encode()))
    drawn = np.array(values)[:, None] + 0.01 * rng.normal(size=(len(values), 100))
    return Line(
        label=NDCT,
        denoiser=denoiser,
        strategy=strategy,
        modules="",
        key=key,
        variant_of=None,
        n_images=12,
        seeds=tuple(range(len(values))),
        values={"fd_randconv": list(values), **more},
        replicates={"fd_randconv": drawn},
        sample=SAMPLE,
    )


def view_of(*lines: Line, newcomers: tuple[str, ...] = (), title: str = "trial") -> TableView:
    strategies = {x.strategy for x in lines}
    own = tuple(TableLine(NDCT, "fm", Strategy.from_name(name)) for name in sorted(strategies))
    return TableView(Table("table1", title, False, own, {}, newcomers), catalogue(), list(lines), True)


def outcome_html(*lines: Line, newcomers: tuple[str, ...] = ()) -> str:
    text = render("outcome.html.j2", outcome=outcome_section([view_of(*lines, newcomers=newcomers)]))
    assert Page(text).wrong == []
    return text


def svg(chart: BarChart) -> str:
    return str(environment().get_template("charts.html.j2").module.bar_chart(chart))  # type: ignore[attr-defined]


def test_the_results_are_counted_and_say_how_sure_they_are() -> None:
    base, other = line("IPv1", [3.0, 3.1, 3.2]), line("IPv2", [1.0, 1.1, 1.05])
    text = outcome_html(base, other)
    lead = next(e.text for e in Page(text).of("p") if e.at.get("class") == "lead")
    assert lead == "Trained on IPv2 instead of IPv1: 1 of 1 nearer to the NDCT (FD (randconv) −66 %)."
    assert '1 of 1<span class="spread"> 1 sure' in text and "3 training seeds and 6 test patients" in text
    worse = outcome_html(base, line("IPv2", [3.2, 3.0, 3.4]))
    assert "<strong>0 of 1</strong> nearer" in worse and '0 of 1<span class="spread"> 0 sure' in worse
    single = outcome_html(line("IPv1", [3.0]), line("IPv2", [1.0]))
    assert "one training seed" in single and "nothing here is called best" in single
    undrawn = outcome_html(*(replace(x, sample=None, replicates={}) for x in (base, other)))
    assert "There are no intervals" in undrawn
    assert "No line of these tables" in outcome_html(base)


def test_a_newcomer_is_compared_with_every_other() -> None:
    named = ((1.0, "Mine", "x:Mine"), (2.0, "FM", "fm"), (3.0, "NLM", "nl_means"))
    own, first, second = (line("IPv2", [value], denoiser, key) for value, denoiser, key in named)
    text = outcome_html(own, first, second, newcomers=("x:Mine",))
    assert "Mine + IPv2 against the others: <strong>2 of 2</strong> nearer to the NDCT (FD (randconv) −67 to −50 %)" in text
    assert "against FM: −1" in text and "against NLM: −2" in text


def test_what_gets_worse_is_chosen_by_what_is_ideal() -> None:
    measures = {"rmse_hu": [9.0], "rmse_hu_rim": [9.0], "ssim": [0.5], "psnr_db": [20.0], "noise_hu_lung": [3.0]}
    measures |= {"noise_hu_tissue": [1.0], "bias_hu_lung": [-2.0], "edge_mtf50": [0.9], "nodule_cnr": [3.0]}
    view = view_of(line("IPv1", [3.0], **measures), line("IPv2", [1.0], **measures))
    assert [c.name for c in asked(view)] == ["fd_randconv", "rmse_hu", "psnr_db", "noise_hu_lung"]
    assert [c.name for c in prices(view)] == ["rmse_hu_rim", "noise_hu_tissue", "bias_hu_lung", "edge_mtf50"]
    assert all(c in catalogue().columns.values() for c in prices(view))


def test_a_price_is_named_only_where_it_is_certain() -> None:
    def with_bias(strategy: str, distance: float, bias: float) -> Line:
        own = line(strategy, [distance, distance], bias_hu_lung=[bias, bias])
        drawn = np.full((2, 100), bias) + 0.01 * np.random.default_rng(0 if bias > 0 else 1).normal(size=(2, 100))
        return replace(own, replicates={**own.replicates, "bias_hu_lung": drawn})

    # A bias of −9 is worse than one of 2, though it is less; one of −2 is not.
    assert "bias lung HU (1 of 1)" in outcome_html(with_bias("IPv1", 3.0, 2.0), with_bias("IPv2", 1.0, -9.0))
    assert "gets worse" not in outcome_html(with_bias("IPv1", 3.0, 9.0), with_bias("IPv2", 1.0, -2.0))


def test_names_and_titles_are_escaped_everywhere() -> None:
    seconds = {"seconds_per_slice": [0.1], "rmse_hu": [9.0], "edge_mtf50": [0.9]}
    lines = [line(s, [v], denoiser=NASTY, key="x", **seconds) for s, v in (("IPv1", 3.0), ("IPv2", 1.0))]
    view = view_of(*lines, title=NASTY)
    palette = Palette.of([view])
    cost = cost_section([view], {"table1": []}, palette)
    text = (
        outcome_html(*lines)
        + render("table_section.html.j2", table=table_section(view, palette))
        + render("cost.html.j2", cost=cost)
        + svg(bars("k", NASTY, [Bar(NASTY, 1.0, group=NASTY)]))
    )
    assert "<script" not in text and text.count("&lt;script&gt;") > 10 and Page(text).wrong == []


def test_strategies_that_train_on_the_same_pairs_share_a_colour() -> None:
    view = view_of(*(line(s, [1.0]) for s in ("IPv1", "IPv2", "IPv1+1+2", "IPv1+1")))
    palette = Palette.of([view])
    assert palette.tones == {"IPv1": 0, "IPv2": 1, "IPv1+1+2": 1, "IPv1+1": 2}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    colours = {n: (a, b)[scheme] for n, a, b in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", STYLE)}
    rules = STYLE[STYLE.index("}") :]
    assert not re.search(r"#[0-9a-f]{3}|rgb|hsl", rules), "every colour is defined at the top, so that it is checked here"
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
    text = svg(bars("k", "FD", rows))
    assert "FM, IPv1: 4 (3 to 5); FM, IPv2: 2" in text and text.count('class="group"') == 1
    widths = [float(w) for w in re.findall(r'<rect class="tone\d" [^>]*width="([\d.]+)"', text)]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01) and text.count('class="whisker"') == 1
    apart = [Bar("FM", -1.0, -2.0, -0.5, certain=True, better=True), Bar("FFM", 0.5, -0.5, 1.5)]
    text = svg(differences("k", "FD", apart, lower_is_better=True))
    assert 'class="difference good firm"' in text and 'class="difference bad"' in text and ">+0.5<" in text
    assert Page(text).wrong == []


def test_labels_of_points_do_not_overlap() -> None:
    chart = points("k", "t", "x", "y", [ChartPoint(n, 1.0, y, label=n) for n, y in (("one", 1.0), ("two", 1.01), ("three", 9.0))])
    heights = sorted(label.y for label in chart.labels)
    assert len(heights) == 3 and min(b - a for a, b in pairwise(heights)) >= 13


def test_pictures_are_the_slices(phantom: SliceSet) -> None:
    image, window = np.array(phantom.normal[0]), Window()
    with Image.open(io.BytesIO(base64.b64decode(webp(image, window, 95)))) as shown:
        grey = np.asarray(shown.convert("L"), dtype=float)
    expected = ((window.hu(image) + 1350) / 1500).clip(0, 1) * 255
    assert grey.shape == (128, 128) and np.abs(grey - expected).mean() < 3.0


def test_arrows_point_into_their_regions(phantom: SliceSet) -> None:
    from ipv2_bench.metrics.anatomy import regions

    assert phantom.truth is not None
    where = regions(phantom.truth[1], Window())
    spots = find_spots(phantom.low[1], phantom.truth[1], Window())
    assert [s.region for s in spots] == ["lung", "background"]
    for s in spots:
        assert where[s.region][s.row, s.column]
        assert s.top <= s.row < s.top + s.side <= 128 and s.left <= s.column < s.left + s.side <= 128
    blank = np.zeros((64, 64), np.float32)
    assert find_spots(blank, blank + np.eye(64, dtype=np.float32), Window())


def test_large_images_leave_out_slices_and_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)
    sets = [ShownSet("output", f"set {i}", noise) for i in range(4)]

    def encoded(most: float) -> tuple[list[int], int, int]:
        monkeypatch.setattr(pictures, "MOST_BYTES", most)
        slices, quality = encode(sets, [1, 5, 9], [0.7] * 3, [(), (), ()], Window())
        size = sum(len(p.whole) + len(p.mediastinum or "") for s in slices for p in s.pictures)
        return [s.test_index for s in slices], quality, size

    chosen, quality, size = encoded(1e9)
    assert (chosen, quality) == ([1, 5, 9], 85)
    for share, kept in ((0.8, 2), (0.5, 1)):
        chosen, quality, smaller = encoded(share * size)
        assert len(chosen) == kept and quality == 85 and smaller <= share * size
    chosen, quality, smaller = encoded(0.28 * size)
    assert chosen == [5] and quality < 85 and smaller <= 0.28 * size
    assert encoded(0.0)[:2] == ([5], 30)  # the least there is
    monkeypatch.undo()
    assert pictures.MOST_BYTES < 6_000_000
