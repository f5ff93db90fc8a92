"""Tables as Markdown, CSV and text for a terminal."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.html.sections.tables import table_section
from ipv2_bench.benchmark.views.markdown import detail_markdown, table_markdown
from ipv2_bench.benchmark.views.table_csv import differences_csv, table_csv
from ipv2_bench.benchmark.views.table_view import MAIN, TableView, heading_of, interval_text
from ipv2_bench.benchmark.views.terminal import outcome_text, table_text
from ipv2_bench.metrics.base import Scale
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.uncertainty import interval
from tests.benchmark.examples import SAMPLE, a_line, a_row, a_table, a_view, sure, table_line

FD = catalogue().columns["fd_randconv"]
KNOWN = {"fid": 80.0, "kid_x100": 4.0, "clip_fid_x100": 4.0}


def three_lines() -> list[Line]:
    """IPv1, IPv2 with two seeds, and a strategy of ours."""
    return [
        a_line("IPv1", {"fd_randconv": [10.0], "psnr_db": [20.0]}, KNOWN),
        a_line("IPv2", {"fd_randconv": [5.75, 6.25], "psnr_db": [21.5, 21.5]}, {**KNOWN, "fid": 39.33}),
        a_line("IPv2 [both_outside]", {"fd_randconv": [12.0], "psnr_db": [19.0]}, ours=True),
    ]


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_markdown_shows_the_change_against_ipv1() -> None:
    text = table_markdown(a_view(three_lines()))
    rows = [r for r in text.splitlines() if r.startswith("| NDCT")]
    assert "| FM + IPv1 | 10 | 20 |" in rows[0]
    assert "| 6 ± 0.35 (-40 %) | 21.5 ± 0 (+1.5 dB) | 39.33 |" in rows[1]
    assert "| 12 (+20 %) | 19 (-1.0 dB) | ours | – | – |" in rows[2] or "| ours | ours | ours |" in rows[2]
    assert "numbers mean nothing" not in text
    assert "numbers mean nothing" in table_markdown(a_view(three_lines(), meaningful=False))
    assert "reward copying" in table_markdown(a_view(three_lines(), of_labels=True))
    assert len({r.count("|") for r in text.splitlines() if r.startswith("|")}) == 1


def test_a_title_with_a_bar_keeps_the_table_whole() -> None:
    lines = [a_line("IPv2", {"fd_randconv": [6.0]}, denoiser="A | B\nC")]
    for text in (table_markdown(a_view(lines)), detail_markdown(a_view(lines))):
        assert "| A \\| B C + IPv2 |" in text


def test_detail_shows_what_else_was_measured() -> None:
    lines = [a_line("IPv2", {"edge_mtf50": [0.876], "bias_hu_lung": [-9.4], "fd_randconv": [6.0]})]
    text = detail_markdown(a_view(lines))
    assert "| label | denoiser + training | bias lung HU | lung border MTF50 / truth |" in text
    assert "| NDCT | FM + IPv2 | -9.4 | 0.876 |" in text


def test_with_several_seeds_the_better_line_is_bold() -> None:
    text = table_markdown(a_view([sure("IPv1", [3.0, 3.1, 3.2]), sure("IPv2", [1.0, 1.1, 1.05])]))
    (low, high) = re.search(r"\| \*\*1.05 \[([\d.]+), ([\d.]+)\] \(-66 %\*\)\*\* \|", text).groups()  # type: ignore[union-attr]
    assert 0.0 < float(low) < 1.05 < float(high)
    assert "Means over 3 training seeds, in brackets the 95 % interval over seeds and 6 patients; in parentheses" in text
    assert "over seeds and 6 patients" in text and "Bold: better than every other line" in text


def test_with_one_seed_no_value_is_marked_as_best() -> None:
    text = table_markdown(a_view([sure("IPv1", [3.0]), sure("IPv2", [1.0])]))
    assert "With one training seed the tables cannot tell" in text and "**1" not in text
    assert "(-67 %*)" in text  # for this seed the patients agree


def columns_of_csv(*optional: str) -> list[str]:
    """As documented: names, four columns for each measure, three of the way to the oracle for the main ones, published values.

    Of measures whose weights few have, those alone that a line has.
    """
    measures = catalogue()
    absent = {"fd_dinov2", "fd_inf_dinov2", "fd_radimagenet", "fd_inf_radimagenet"} - {*optional}
    main = [name for name in measures.of_group(*MAIN) if name not in absent]
    return [
        *("label", "denoiser", "strategy", "modules", "n_images", "n_seeds", "n_patients"),
        *(f"{name}{end}" for name in measures.columns if name not in absent for end in ("", "_std", "_low", "_high")),
        *(f"way_to_oracle_{name}{end}" for name in main for end in ("", "_low", "_high")),
        *("published_fid", "published_kid_x100", "published_clip_fid_x100"),
    ]


def test_csv_has_the_documented_columns() -> None:
    rows = [a_row(0, fd_randconv=4.0, psnr_db=20.0), a_row(2, fd_randconv=7.0, psnr_db=22.0)]
    table = a_table(lines=[table_line("IPv2")])
    text = table_csv(TableView.of(table, [rows], catalogue()))
    assert next(csv.reader(io.StringIO(text))) == columns_of_csv()
    (cells,) = parsed(text)
    assert (cells["label"], cells["denoiser"], cells["strategy"], cells["modules"]) == ("NDCT", "FM", "IPv2", "1+2+3")
    assert (cells["n_images"], cells["n_seeds"], cells["fd_randconv"], cells["psnr_db"]) == ("12", "2", "5.5", "21")
    assert float(cells["fd_randconv_std"]) == pytest.approx(4.5**0.5, rel=1e-5)
    assert (cells["fid"], cells["fid_std"], cells["ssim"]) == ("", "", "")
    assert [float(cells[f"published_{m}"]) for m in ("fid", "kid_x100", "clip_fid_x100")] == [39.33, 1.0, 2.5]
    assert cells["n_patients"] == cells["fd_randconv_low"] == cells["fd_randconv_high"] == ""  # nothing was drawn
    assert cells["seconds_per_slice"] == "0.5" and cells["network_calls"] == "2"
    (label,) = parsed(table_csv(a_view([a_line("IPv2", {"fd_randconv": [4.0]}, denoiser=None, key=None)])))
    assert label["strategy"] == "IPv2(NDCT)" and label["denoiser"] == ""
    rich = table_csv(a_view([a_line("IPv2", {"fd_randconv": [4.0], "fd_dinov2": [3.0]})]))
    assert next(csv.reader(io.StringIO(rich))) == columns_of_csv("fd_dinov2") and parsed(rich)[0]["fd_dinov2"] == "3"


def test_csv_holds_the_ends_of_intervals() -> None:
    one = sure("IPv1", [4.0, 4.2, 4.1])
    (cells,) = parsed(table_csv(a_view([one])))
    expected = interval([4.0, 4.2, 4.1], one.replicates["fd_randconv"], SAMPLE, scale="log")
    assert float(cells["fd_randconv_low"]) == pytest.approx(expected.low, rel=1e-4)
    assert float(cells["fd_randconv_high"]) == pytest.approx(expected.high, rel=1e-4)
    assert cells["n_patients"] == "6"


def test_every_paired_difference_to_ipv1_is_written() -> None:
    base, other = sure("IPv1", [3.0, 3.1]), sure("IPv2", [1.0, 1.3])
    (row,) = parsed(differences_csv(a_view([base, other])))
    assert (row["strategy"], row["measure"], row["against"], row["tells"]) == ("IPv2", "fd_randconv", "FM + IPv1", "1")
    assert float(row["difference"]) == pytest.approx(-1.9)
    assert float(row["low"]) < -1.9 < float(row["high"])
    assert row["excludes_zero"] == str(int(float(row["high"]) < 0))


def test_every_column_of_the_catalogue_can_be_shown() -> None:
    """A value in each column: all of them are in the CSV, and each group is in its Markdown table."""
    measures = catalogue()
    values = {name: [1.0 + i] for i, name in enumerate(measures.columns)}
    view = a_view([a_line("IPv1", values), a_line("IPv2", {k: [2 * v[0]] for k, v in values.items()})])
    written = parsed(table_csv(view))
    assert all(float(written[0][name]) == values[name][0] for name in measures.columns)
    table, detail = table_markdown(view), detail_markdown(view)
    for column in measures.columns.values():
        shown = {"distance": table, "fidelity": table, "detail": detail, "structure": detail}.get(column.group)
        assert shown is None or f" {column.heading.replace('|', chr(92) + '|')} |" in shown, column.name


def test_a_terminals_table_is_aligned_and_fits_it() -> None:
    text = table_text(a_view(three_lines()))
    lines = text.splitlines()
    rows = [x for x in lines if x.startswith("FM")]
    assert len(rows) == 3 and len({len(x) for x in rows}) == 1
    assert "6 (-40 %)" in rows[1] and lines[0] == "Table 1: an example"
    values = {name: [1.0] for name in catalogue().columns}
    for width in (100, 60):
        wide = table_text(a_view([a_line("IPv2 [both_outside]", values, denoiser="A long name of a denoiser")]), width)
        shown = [x for x in wide.splitlines() if not x.startswith(("- ", "Table"))]
        assert max(map(len, shown)) <= width, width
        assert "more columns are in the files" in wide
    assert "\x1b" not in text and "mean nothing" in table_text(a_view(three_lines(), meaningful=False))


def test_the_end_of_a_command_says_where_the_page_is(tmp_path) -> None:
    views = {"table1": a_view(three_lines())}
    text = outcome_text(views, tmp_path / "out", tmp_path / "out" / "index.html")
    assert text.rstrip().splitlines()[-1].startswith(f"written to {tmp_path / 'out'}; open ")
    assert "; open" not in outcome_text(views, tmp_path, None).splitlines()[-1]


@pytest.mark.parametrize(
    ("low", "high", "scale", "text"),
    [
        (0.312, 2.1234, "log", "[0.31, 2.1]"),
        (0.00314, 12.3, "log", "[0.0031, 12]"),
        (26.04, 27.43, "identity", "[26.0, 27.4]"),
        (-0.03, 5.23, "identity", "[0.0, 5.2]"),
        (-12.34, -6.54, "identity", "[-12.3, -6.5]"),
        (980.4, 1503.0, "log", "[980, 1503]"),
        (0.7912, 0.8634, "fisher", "[0.791, 0.863]"),
        (0.85, 0.99834, "fisher", "[0.85, 0.9983]"),
        (-0.99966, 0.2, "fisher", "[-0.99966, 0.20]"),
        (3.1e-14, 2.2e-13, "log", "[3.1e-14, 2.2e-13]"),
        (5.0, 5.0, "log", "[5, 5]"),
    ],
)
def test_an_interval_shows_its_width_and_never_reaches_what_is_impossible(
    low: float, high: float, scale: Scale, text: str
) -> None:
    assert interval_text(low, high, scale) == text


def test_the_interval_of_a_cell_is_asymmetric_in_every_medium() -> None:
    wide = np.exp(np.random.default_rng(0).normal(size=(2, 100)))
    line = a_line("IPv2", {"fd_randconv": [0.8, 0.78]}, replicates={"fd_randconv": wide}, sample=SAMPLE)
    ends = line.interval(FD)
    assert ends is not None and ends.low > 0.0 and ends.high - ends.mean > 2 * (ends.mean - ends.low)
    view = a_view([line])
    shown = interval_text(ends.low, ends.high, "log")
    assert view.cell(line, FD).spread == shown and f"| 0.79 {shown} |" in table_markdown(view)
    table = table_section(view, Palette.of([view])).values
    assert table.row_groups[0].rows[0].cells[0].spread == shown
    (cells,) = parsed(table_csv(view))
    assert float(cells["fd_randconv_high"]) == pytest.approx(ends.high, rel=1e-4)


def test_headings_of_tables() -> None:
    named = {"table1": "Table 1", "table_own_rates": "Table own rates", "compare_Mine": "compare Mine"}
    assert {key: heading_of(key) for key in named} == named


def test_a_value_that_is_not_finite_is_empty_in_csv() -> None:
    (cells,) = parsed(table_csv(a_view([a_line("IPv2", {"fd_randconv": [np.nan]})])))
    assert cells["fd_randconv"] == ""
