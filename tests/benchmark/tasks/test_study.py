"""The study of the distances: correlations by hand, and what is written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.tasks.study.attacks import _line
from ipv2_bench.benchmark.tasks.study.report import Correlation, Point, _numbers, _places
from ipv2_bench.benchmark.tasks.study.run import _correlate, _with_found
from ipv2_bench.cli import main
from ipv2_bench.metrics.catalogue import catalogue
from tests.conftest import Smoke
from tests.program import table

COLUMN = "fd_randconv to NDCT"
ANY = cast(Benchmark, SimpleNamespace(prepared=SimpleNamespace(catalogue=catalogue())))
"""A benchmark of which the catalogue alone is read."""


def correlate(points: list[Point], truth: str = "rmse_hu") -> Correlation:
    return _correlate(ANY, points, COLUMN, truth)


def points(distance: list[float], error: list[float], spread: float = 0.0, name: str = "rmse_hu") -> list[Point]:
    rng = np.random.default_rng(0)
    found = []
    for i, (d, e) in enumerate(zip(distance, error, strict=True)):
        drawn = {COLUMN: d + spread * rng.normal(size=(2, 50)), name: e + spread * rng.normal(size=(2, 50))}
        found.append(Point(f"cell {i}", "FM", True, {COLUMN: d, name: e}, drawn))
    return found


def test_a_distance_that_orders_as_the_truth_has_rho_one() -> None:
    found = correlate(points([1, 2, 5, 9, 11, 20], [10, 20, 30, 40, 50, 60]))
    assert (found.rho, found.low, found.high, found.pairs) == pytest.approx((1.0, 1.0, 1.0, 1.0)) and found.points == 6
    assert (found.distance, found.label) == ("fd_randconv", "NDCT")


def test_a_distance_that_orders_against_the_truth_has_rho_minus_one() -> None:
    found = correlate(points([6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]))
    assert (found.rho, found.pairs) == (-1.0, 0.0)
    # Higher SSIM is better, so a distance that falls as it rises agrees.
    assert correlate(points([6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6], name="ssim"), "ssim").rho == 1.0


def test_rank_correlation_and_pairs_by_hand() -> None:
    found = correlate(points([1, 2, 3, 4], [1, 3, 2, 4]))
    assert found.rho == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 − 6 Σd² / (n (n² − 1))
    assert found.pairs == pytest.approx(5 / 6)


def test_values_that_draws_shuffle_have_a_wide_interval() -> None:
    sure = correlate(points([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], spread=0.01))
    unsure = correlate(points([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], spread=3.0))
    assert sure.low == pytest.approx(1.0) and unsure.low < 0.3


def test_places_of_untrained_images_are_counted() -> None:
    trained = points([2, 4, 6], [20, 30, 40])
    untrained = [
        Point(name, None, False, {COLUMN: d, "rmse_hu": e}, {})
        for name, d, e in (("NDCT", 0.0, 35.0), ("aligned truth", 5.0, 0.0), ("uLDCT", 9.0, 90.0))
    ]
    copy, perfect, nothing = _places([*trained, *untrained], [COLUMN], catalogue())
    assert "returned the misaligned NDCT would come in at place 3 by rmse_hu, 1 by fd_randconv to NDCT" in copy
    assert "perfect denoiser" in perfect and "1 by rmse_hu, 3 by fd_randconv to NDCT" in perfect
    assert "4 by rmse_hu, 4 by fd_randconv to NDCT" in nothing


def test_how_the_distance_moves_with_the_number_is_told() -> None:
    lines: list[dict[str, Any]] = [
        {"images": name, "extractor": "x", "n": n, "frechet": v}
        for name, values in (("a", (4.0, 2.0, 1.0)), ("b", (5.0, 3.0, 0.5)), ("c", (6.0, 4.0, 2.0)))
        for n, v in zip((10.0, 20.0, float("inf")), values, strict=True)
    ]
    text = _numbers(lines, "x")
    assert "10: 5 (ρ 1.00), 20: 3 (ρ 1.00), ∞: 1.17 (ρ 0.50)" in text and "at N = 20" in text


def test_the_study_follows_from_the_cells_of_the_tables(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "smoke"
    out.mkdir()
    areas = [f"{row['denoiser']} + {row['strategy']},0,0.{60 + i}" for i, row in enumerate(table(smoke.out / "table1.csv"))]
    (out / "detection.csv").write_text("\n".join(["images,seed,LG-CHO 6 mm AUC", "uLDCT,,0.6", *areas]))
    assert main(["study", "--config", "smoke", "--quiet", *smoke.settings(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.strip() == (out / "study.md").read_text().strip() and "numbers mean nothing" in said
    correlations = table(out / "study.csv")
    assert {(x["label"], x["distance"], x["truth"]) for x in correlations} >= {
        (label, "fd_randconv", truth) for label in ("NDCT", "IPv2(NDCT)") for truth in ("rmse_hu", "ssim")
    }
    assert all(-1.0 <= float(x["rho"]) <= 1.0 for x in correlations if x["rho"])
    sampled = [x for x in correlations if x["low"]]
    assert all(float(x["low"]) <= float(x["high"]) for x in sampled)
    assert {x["distance"] for x in sampled} >= {"fd_randconv", "fd_efficientnet", "cmmd_efficientnet", "sliced_efficientnet"}
    sets = {x["images"]: x for x in table(out / "study_sets.csv")}
    assert sum(int(x["trained"]) for x in sets.values()) == 19  # with the weak denoiser, without filters
    assert float(sets["NDCT"]["fd_randconv to NDCT"]) < 1e-6 < float(sets["NDCT"]["rmse_hu"])
    assert float(sets["aligned truth"]["rmse_hu"]) == 0.0 < float(sets["aligned truth"]["fd_randconv to NDCT"])
    with Image.open(out / "study.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    assert 'id="study"' in (out / "index.html").read_text()
    attacks = {x["measure"]: x for x in table(out / "study_attacks.csv")}
    assert {"rmse_hu", "fd_randconv to NDCT", "fd_efficientnet to NDCT", "nyquist_peak"} <= attacks.keys()
    error, copy = attacks["rmse_hu"], attacks["fd_randconv to NDCT"]
    assert float(error["truth"]) == 0.0 < float(error["noise of 30 HU"]) and float(error["blur of 1 pixel"]) > 0
    assert float(copy["NDCT"]) < 0.0 < float(error["NDCT"])  # the distance prefers the copy to the truth
    assert "| By " not in said and "- By rmse_hu: best " in said and "### What each measure sees" in said


def test_how_well_nodules_are_found_is_read_where_it_was_measured(tmp_path: Path) -> None:
    config, trained = cast(Any, SimpleNamespace(out=tmp_path)), points([1, 2, 3, 4], [10, 20, 30, 40])
    assert _with_found(trained, config) == trained
    lines = [f"cell {i},{seed},{0.9 - 0.1 * i + 0.02 * seed}" for i in range(4) for seed in (0, 1)]
    (tmp_path / "detection.csv").write_text("\n".join(["images,seed,LG-CHO 6 mm AUC", "uLDCT,,0.6", *lines]))
    with_areas = _with_found(trained, config)
    assert [p.values["auc_6mm"] for p in with_areas] == pytest.approx([0.91, 0.81, 0.71, 0.61])
    correlation = correlate(with_areas, "auc_6mm")
    assert correlation.rho == pytest.approx(1.0) and np.isnan(correlation.low)
    others = _with_found([Point("NDCT", None, False, {}, {}), Point("uLDCT", None, False, {}, {})], config)
    assert [p.values for p in others] == [{}, {"auc_6mm": 0.6}]


@pytest.mark.parametrize(("name", "share"), [("rmse_hu", 0.5), ("ssim", 0.25), ("bias_hu_lung", -0.5)])
def test_a_damage_is_a_share_of_a_trained_denoisers_error(name: str, share: float) -> None:
    trained = [Point("a", "FM", True, {name: v}, {}) for v in {"rmse_hu": (40.0, 60.0, 80.0), "ssim": (0.2,)}.get(name, (-12.0,))]
    true = {"rmse_hu": 0.0, "ssim": 1.0, "bias_hu_lung": 4.0}
    damaged = {"rmse_hu": 30.0, "ssim": 0.8, "bias_hu_lung": 0.0}
    line = _line(cast(Any, ANY.prepared), name, trained, true, {"damage": damaged})
    assert line == {"measure": name, "truth": true[name], "damage": pytest.approx(share)}


def test_the_study_of_tables_without_a_weak_denoiser(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "--config", "smoke", "--quiet", *smoke.settings(tmp_path), "tables=[table1.yaml]"]) == 0
    said, out = capsys.readouterr().out, tmp_path / "smoke"
    assert "Without distances to IPv2(NDCT): no line of these tables needs that label." in said
    assert {x["label"] for x in table(out / "study.csv")} == {"NDCT"}
    names = {x["images"] for x in table(out / "study_sets.csv")}
    assert names >= {"uLDCT", "aligned truth", "IPv1(NDCT)", "IPv1+1(NDCT)"} and "IPv2(NDCT)" not in names
    with Image.open(out / "study.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_the_study_of_what_was_not_computed_is_refused(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "--config", "smoke", "--quiet", *smoke.settings(tmp_path), "train.steps=5"]) == 2
    assert "are not complete: run ipv2-bench reproduce with the same settings first" in capsys.readouterr().err
