"""Lines: rows joined over seeds, intervals, paired differences, baselines and the best line."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.benchmark.rows.lines import Line, baseline, best, table_lines
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.uncertainty import draw_slices, interval
from tests.benchmark.examples import SAMPLE, a_line, a_row, a_table, sure, table_line

FD = catalogue().columns["fd_randconv"]


def lines(*rows: list[Row]) -> list[Line]:
    """Lines of a table with some rows each."""
    return table_lines(a_table(lines=[table_line("IPv2")] * len(rows)), rows)


def test_lines_hold_mean_and_standard_deviation_over_seeds() -> None:
    rows = [a_row(0, fd_randconv=4.0, psnr_db=20.0), a_row(2, fd_randconv=7.0, psnr_db=22.0)]
    (joined,) = lines(rows, [])
    assert joined.seeds == (0, 2) and joined.n_images == 12
    assert {k: joined.mean[k] for k in ("fd_randconv", "psnr_db", "seconds_per_slice")} == {
        "fd_randconv": 5.5, "psnr_db": 21.0, "seconds_per_slice": 0.5,
    }  # fmt: skip
    assert joined.std["fd_randconv"] == pytest.approx(4.5**0.5) and joined.std["psnr_db"] == pytest.approx(2**0.5)
    assert joined.published["fid"] == 39.33 and joined.name == "FM + IPv2"
    (single,) = lines([a_row(0, fd_randconv=4.0)])
    assert single.mean["fd_randconv"] == 4.0 and single.std == {}


def test_a_measure_that_one_seed_lacks_is_left_out() -> None:
    (joined,) = lines([a_row(0, fd_randconv=4.0, psnr_db=20.0), a_row(1, psnr_db=21.0)])
    assert "fd_randconv" not in joined.mean and "psnr_db" in joined.mean


def test_the_interval_of_a_line_is_that_of_its_seeds_and_patients() -> None:
    one = sure("IPv1", [4.0, 4.2, 4.1])
    expected = interval([4.0, 4.2, 4.1], one.replicates["fd_randconv"], SAMPLE, scale="log")
    assert one.interval(FD) == expected and expected.low < 4.1 < expected.high
    assert one.interval(catalogue().columns["rmse_hu"]) is None
    assert a_line("IPv1", {"fd_randconv": [4.0]}).interval(FD) is None  # nothing was drawn


def test_no_interval_of_a_row_or_line_is_impossible() -> None:
    rng = np.random.default_rng(0)
    sample = draw_slices(["a", "a", "b", "b"], 100).sample
    limits = {"log": (0.0, np.inf), "fisher": (-1.0, 1.0), "identity": (-np.inf, np.inf)}
    between = {"log": lambda x: 60.0 * np.exp(x), "fisher": lambda x: np.tanh(1.0 + x), "identity": lambda x: 10.0 * x}
    columns = [c for c in catalogue().columns.values() if c.group != "cost"]
    for seeds in (1, 2, 3):
        values = {c.name: list(between[c.scale](0.5 * rng.normal(size=seeds))) for c in columns}
        drawn = {c.name: between[c.scale](0.5 * rng.normal(size=(seeds, 100))) for c in columns}
        line = a_line("IPv2", values, replicates=drawn, sample=sample)
        for column in columns:
            ends, (low, high) = line.interval(column), limits[column.scale]
            assert ends is not None and low < ends.low < line.mean[column.name] < ends.high < high, column.name


def test_a_difference_keeps_its_unit_and_sign_whatever_the_scale() -> None:
    base, other = sure("IPv1", [3.0, 3.1]), sure("IPv2", [1.0, 1.3])
    expected = interval([-2.0, -1.8], other.replicates["fd_randconv"] - base.replicates["fd_randconv"], SAMPLE)
    difference = other.difference_to(base, "fd_randconv")
    assert difference is not None and (difference.low, difference.high) == (expected.low, expected.high)
    assert difference.high - difference.mean == pytest.approx(difference.mean - difference.low)


def test_draws_are_those_of_the_rows() -> None:
    drawn = np.linspace(3.0, 5.0, 100)
    (joined,) = lines([a_row(0, replicates={"fd_randconv": drawn}, fd_randconv=4.0)])
    np.testing.assert_allclose(joined.replicates["fd_randconv"], drawn[None], rtol=1e-5)
    assert joined.sample == draw_slices([str(p) for p in range(6) for _ in range(2)], 100).sample


def test_a_line_is_best_only_where_every_difference_excludes_zero() -> None:
    far, near, tied = sure("IPv2", [1.0, 1.1, 1.05]), sure("IPv1+1", [3.0, 3.1, 3.2]), sure("IPv1+2", [1.0, 1.2, 0.95])
    assert best([near, far], FD) is far
    assert best([near, far, tied], FD) is None
    assert best([far], FD) is None  # better than nothing
    assert best([sure("IPv1", [3.0]), sure("IPv2", [1.0])], FD) is None  # of one seed


def test_best_is_what_the_column_says() -> None:
    def of(column: str, strategy: str, values: list[float]) -> Line:
        spread = np.array(values)[:, None] + 0.001 * np.random.default_rng(list(strategy.encode())).normal(size=(3, 100))
        return a_line(strategy, {column: values}, replicates={column: spread}, sample=SAMPLE)

    columns = catalogue().columns
    for column, values in (("psnr_db", (20.0, 30.0)), ("edge_mtf50", (0.5, 0.9)), ("nodule_contrast", (2.0, 1.1))):
        worse, better = (of(column, s, [v] * 3) for s, v in zip(("IPv1", "IPv2"), values, strict=True))
        assert best([worse, better], columns[column]) is better, column


def test_lines_of_other_seeds_are_not_paired() -> None:
    base, other = sure("IPv1", [3.0, 3.1]), sure("IPv2", [1.0])
    assert other.difference_to(base, "fd_randconv") is None
    assert best([base, other], FD) is None


def test_the_paired_difference_is_that_of_the_draws() -> None:
    base, other = sure("IPv1", [3.0, 3.1]), sure("IPv2", [1.0, 1.3])
    difference = other.difference_to(base, "fd_randconv")
    assert difference is not None and difference.mean == pytest.approx(-1.9) and difference.tells
    assert difference.low < -1.9 < difference.high and difference.excludes_zero == (difference.high < 0)
    assert other.difference_to(base, "rmse_hu") is None


def test_a_variant_is_compared_with_the_denoiser_that_it_varies() -> None:
    plain, varied, other = lines(
        [a_row(fd_randconv=4.0)],
        [a_row(key="fm_EMA", title="FM, EMA", variant_of="fm", fd_randconv=4.0)],
        [a_row(key="ffm_EMA", title="FFM, EMA", variant_of="ffm", fd_randconv=4.0)],
    )
    all_lines = [plain, varied, other]
    assert baseline(all_lines, varied) is plain
    assert baseline(all_lines, other) is None and baseline(all_lines, plain) is None


def test_a_denoiser_from_outside_has_neither_our_baseline_nor_published_numbers() -> None:
    base, ours, theirs = lines(
        [a_row(strategy="IPv1", fd_randconv=4.0)], [a_row(fd_randconv=4.0)], [a_row(key="theirs:FM", fd_randconv=4.0)]
    )
    assert baseline([base, ours, theirs], ours) is base and baseline([base, ours, theirs], theirs) is None
    assert ours.published and not theirs.published


def test_a_strategy_with_options_is_ours() -> None:
    table = a_table(lines=[table_line("IPv2"), table_line("IPv2", background="both_outside")])
    rows = [[a_row(fd_randconv=4.0)], [a_row(strategy="IPv2 [both_outside]", fd_randconv=4.0)]]
    assert [line.ours for line in table_lines(table, rows)] == [False, True]
    assert [line.ours for line in table_lines(table, [[], rows[1]])] == [True]
