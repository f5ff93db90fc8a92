"""Between floor and ceiling: the way to the oracle with its interval, and lines that a filter beats."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ipv2_bench.benchmark.rows.bounds import better_filter, is_bound, way_to_oracle
from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.views.markdown import table_markdown
from ipv2_bench.benchmark.views.table_csv import table_rows
from ipv2_bench.metrics.catalogue import catalogue
from tests.benchmark.examples import SAMPLE, a_line, a_view

RMSE = catalogue().columns["rmse_hu"]


def line(key: str, strategy: str, *values: float, spread: float = 0.5) -> Line:
    """A line with an RMSE for each seed, and draws that spread around them."""
    drawn = np.array(values)[:, None] + spread * np.random.default_rng(list(f"{key} {strategy}".encode())).normal(size=100)
    return a_line(strategy, {"rmse_hu": list(values)}, replicates={"rmse_hu": drawn}, sample=SAMPLE, key=key, denoiser=key)


FLOOR, ORACLE = line("identity", "raw", 200.0, 200.0), line("fm", "oracle", 40.0, 60.0)
FILTERS = [line("gaussian", "oracle", 90.0, 90.0), line("total_variation", "oracle", 80.0, 80.0)]


def test_the_way_goes_from_the_untouched_to_the_oracle() -> None:
    own = line("fm", "IPv2", 80.0, 60.0)
    way = way_to_oracle([FLOOR, *FILTERS, ORACLE, own], own, "rmse_hu")
    assert way is not None
    assert way.mean == pytest.approx((120 / 160 + 140 / 140) / 2) and way.low < way.mean < way.high
    worse = way_to_oracle([FLOOR, ORACLE, line("fm", "IPv1", 220.0, 220.0)], line("fm", "IPv1", 220.0, 220.0), "rmse_hu")
    assert worse is not None and worse.mean < 0


def test_there_is_no_way_without_both_ends() -> None:
    own = line("fm", "IPv2", 80.0, 60.0)
    for lines in ([FLOOR, own], [ORACLE, own], [FLOOR, line("ffm", "oracle", 40.0, 40.0), own]):
        assert way_to_oracle(lines, own, "rmse_hu") is None
    assert way_to_oracle([FLOOR, ORACLE, own], own, "psnr_db") is None
    for bound in (FLOOR, ORACLE, *FILTERS):
        assert is_bound(bound) and way_to_oracle([FLOOR, ORACLE, *FILTERS], bound, "rmse_hu") is None
    useless = line("fm", "oracle", 200.5, 199.5)  # no better than nothing in some draws
    assert way_to_oracle([FLOOR, useless, own], own, "rmse_hu") is None


def test_the_better_filter_is_the_best_of_them() -> None:
    good, bad = line("fm", "IPv2", 50.0, 50.0), line("fm", "IPv1", 85.0, 85.0)
    lines = [FLOOR, *FILTERS, ORACLE, good, bad]
    assert better_filter(lines, good, RMSE) is None
    assert better_filter(lines, bad, RMSE) is FILTERS[1]
    assert better_filter(lines, FILTERS[0], RMSE) is None and better_filter([bad], bad, RMSE) is None


def test_tables_show_both() -> None:
    good, bad = line("fm", "IPv2", 50.0, 50.0), line("fm", "IPv1", 85.0, 85.0)
    view = a_view([good, bad, FLOOR, *FILTERS, ORACLE])
    text = table_markdown(view)
    assert "85†" in text and "50†" not in text and "of the way to the oracle" in text and "a classical filter" in text
    rows = table_rows(view)
    assert rows[0]["way_to_oracle_rmse_hu"] == pytest.approx((150 / 160 + 150 / 140) / 2)
    assert rows[0]["way_to_oracle_rmse_hu_low"] < rows[0]["way_to_oracle_rmse_hu_high"]
    assert not any(math.isfinite(row.get("way_to_oracle_rmse_hu", math.nan)) for row in rows[2:])
    plain = table_markdown(a_view([good, bad]))
    assert "†" not in plain and "oracle" not in plain
