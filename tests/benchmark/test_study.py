"""The study of the distances: correlations by hand, and what is written."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from ipv2_bench.benchmark.study import _correlate
from ipv2_bench.benchmark.study_report import Point, _numbers, _places, study_csv

COLUMN = "fd to NDCT"


def points(distance: list[float], error: list[float], spread: float = 0.0, name: str = "rmse_hu") -> list[Point]:
    rng = np.random.default_rng(0)
    found = []
    for i, (d, e) in enumerate(zip(distance, error, strict=True)):
        drawn = {COLUMN: d + spread * rng.normal(size=(2, 50)), name: e + spread * rng.normal(size=(2, 50))}
        found.append(Point(f"cell {i}", "FM", True, {COLUMN: d, name: e}, drawn))
    return found


def test_a_distance_that_orders_as_the_truth_has_rho_one() -> None:
    found = _correlate(points([1, 2, 5, 9, 11, 20], [10, 20, 30, 40, 50, 60]), COLUMN, "rmse_hu")
    assert (found.rho, found.low, found.high, found.pairs) == pytest.approx((1.0, 1.0, 1.0, 1.0)) and found.points == 6
    assert (found.distance, found.label) == ("fd", "NDCT")


def test_a_distance_that_orders_against_the_truth_has_rho_minus_one() -> None:
    found = _correlate(points([6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]), COLUMN, "rmse_hu")
    assert (found.rho, found.pairs) == (-1.0, 0.0)
    # Higher SSIM is better, so a distance that falls as it rises agrees.
    assert _correlate(points([6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6], name="ssim"), COLUMN, "ssim").rho == 1.0


def test_rank_correlation_and_pairs_by_hand() -> None:
    found = _correlate(points([1, 2, 3, 4], [1, 3, 2, 4]), COLUMN, "rmse_hu")
    assert found.rho == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 − 6 Σd² / (n (n² − 1))
    assert found.pairs == pytest.approx(5 / 6)


def test_values_that_draws_shuffle_have_a_wide_interval() -> None:
    sure = _correlate(points([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], spread=0.01), COLUMN, "rmse_hu")
    unsure = _correlate(points([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], spread=3.0), COLUMN, "rmse_hu")
    assert sure.low == pytest.approx(1.0) and unsure.low < 0.3


def test_places_of_untrained_images_are_counted() -> None:
    trained = points([2, 4, 6], [20, 30, 40])
    untrained = [
        Point(name, "", False, {COLUMN: d, "rmse_hu": e}, {})
        for name, d, e in (("NDCT", 0.0, 35.0), ("aligned truth", 5.0, 0.0), ("uLDCT", 9.0, 90.0))
    ]
    copy, perfect, nothing = _places([*trained, *untrained], [COLUMN])
    assert "returned the misaligned NDCT would come in at place 3 by rmse_hu, 1 by fd to NDCT" in copy
    assert "perfect denoiser" in perfect and "1 by rmse_hu, 3 by fd to NDCT" in perfect
    assert "4 by rmse_hu, 4 by fd to NDCT" in nothing


def test_how_the_distance_moves_with_the_number_is_told() -> None:
    lines: list[dict[str, str | float]] = [
        {"images": name, "extractor": "x", "n": n, "frechet": v}
        for name, values in (("a", (4.0, 2.0, 1.0)), ("b", (5.0, 3.0, 0.5)), ("c", (6.0, 4.0, 2.0)))
        for n, v in zip((10.0, 20.0, float("inf")), values, strict=True)
    ]
    text = "\n".join(_numbers(lines))
    assert "10: 5 (ρ 1.00), 20: 3 (ρ 1.00), ∞: 1.17 (ρ 0.50)" in text and "at N = 20" in text


def test_csv_leaves_what_was_not_measured_empty() -> None:
    found = list(csv.DictReader(io.StringIO(study_csv([{"a": 1.23456, "b": "x"}, {"b": "y", "c": float("inf")}]))))
    assert found == [{"a": "1.235", "b": "x", "c": ""}, {"a": "", "b": "y", "c": "inf"}]
    assert study_csv([{"a": float("nan"), "b": "x"}]) == "a,b\n,x\n"
