"""Directions are counted right."""

from __future__ import annotations

import re
from dataclasses import replace

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.views.sentences import directions, rivals, tallies
from tests.benchmark.examples import a_line, a_table, a_view, table_line


def a_mean(strategy: str, published: dict | None = None, **values: float) -> Line:
    return a_line(strategy, {k: [v, v] for k, v in values.items() if k != "denoiser"}, published)


KNOWN = {"fid": 1.0}


def test_directions_are_counted_right() -> None:
    lines = [
        a_mean("IPv1", KNOWN, fd_randconv=10.0, kid_x100_randconv=5.0, psnr_db=20.0, rmse_hu=100.0),
        a_mean("IPv1+1", KNOWN, fd_randconv=8.0, kid_x100_randconv=5.5, psnr_db=22.0, rmse_hu=120.0),
        a_mean("IPv2", KNOWN, fd_randconv=6.0, kid_x100_randconv=4.0, psnr_db=19.0, rmse_hu=90.0),
        a_mean("IPv2 [both_outside]", fd_randconv=99.0, kid_x100_randconv=99.0, psnr_db=30.0, rmse_hu=80.0),
        a_line("IPv2", {"fd_randconv": [6.0], "psnr_db": [25.0]}, KNOWN, denoiser="FFM", key="ffm"),  # without its IPv1
    ]
    texts = directions(a_view(lines))
    # Published rows only: 2 rows × 2 measures, of which KID of IPv1+1 got worse.
    assert "reproduced in 3 of 4 cells (2 rows × 2 measures)" in texts[0]
    assert re.search(r"not in FM IPv1\+1 vs NDCT: KID×100 \(randconv\)\.", texts[0])
    # Ours take part here: 3 rows × 2 measures, worse are RMSE of IPv1+1 and PSNR of IPv2.
    assert "truth agrees in 4 of 6 cells (3 rows × 2 measures)" in texts[1]
    assert "FM IPv1+1 vs NDCT: RMSE HU" in texts[1] and "FM IPv2 vs NDCT: PSNR dB" in texts[1]
    assert "every installation has" in texts[2] and "not measured here" in texts[2]
    first, second = tallies(a_view(lines))
    assert (first.hits, first.cells, second.hits, second.cells) == (3, 4, 4, 6)


def test_with_published_measures_nothing_is_said_of_others() -> None:
    texts = directions(a_view([a_mean("IPv1", KNOWN, fid=5.0), a_mean("IPv2", KNOWN, fid=4.0)]))
    assert texts == ["Published direction (better than IPv1) reproduced in 1 of 1 cells (1 rows × 1 measures)."]


def test_a_tie_is_no_improvement_and_labels_do_not_mix() -> None:
    base, tied = a_mean("IPv1", KNOWN, fid=5.0), a_mean("IPv2", KNOWN, fid=5.0)
    assert "0 of 1 cells" in directions(a_view([base, tied]))[0]
    elsewhere = a_line("IPv1", {"fid": [5.0, 5.0]}, KNOWN, label="IPv2(NDCT)")
    assert directions(a_view([elsewhere, tied])) == []


def test_rivals_are_no_published_direction_and_say_what_they_use() -> None:
    lines = [a_mean(s, psnr_db=v) for s, v in (("IPv1", 20.0), ("IPv2", 22.0), ("registered", 25.0), ("patch_similarity", 21.0))]
    lines[-1].values["pairs_used"] = [0.4, 0.4]
    specified = tuple(table_line(line.strategy) for line in lines)
    view = replace(a_view(lines), table=replace(a_table(), lines=specified))
    assert directions(view)[0].startswith("The aligned truth agrees in 1 of 1 cells (1 rows × 1 measures)")
    assert rivals(view) == [
        "registered: the uLDCT, and the NDCT that is registered to it.",
        "patch_similarity: patches of the uLDCT whose mask agrees with the NDCT's (40 % of the pairs can be used).",
    ]


def test_variants_do_not_count() -> None:
    base = a_mean("IPv1", KNOWN, fid=5.0)
    varied = a_line("IPv2", {"fid": [4.0]}, key="fm_x", denoiser="FM, x", variant_of="fm")
    assert directions(a_view([base, varied])) == []
