"""A measure from outside of the program: one file that is measured, saved, loaded, listed and ranked like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.measuring import measuring_version
from ipv2_bench.benchmark.rows.files import write_row
from ipv2_bench.benchmark.rows.make import measure_row
from ipv2_bench.benchmark.views.markdown import detail_markdown, table_markdown
from ipv2_bench.benchmark.views.table_csv import table_csv
from ipv2_bench.cli import main
from ipv2_bench.metrics.catalogue import Catalogue, catalogue
from ipv2_bench.metrics.image_set import Measurements, Measuring, distances
from ipv2_bench.metrics.uncertainty import draw_slices
from tests.benchmark.examples import a_line, a_row, a_view
from tests.metrics.chest import chest, slice_truth

SOURCE = '''
"""Measures of one's own, against the truth and in a feature space."""

import numpy as np

from ipv2_bench.metrics.base import Column, FeatureSpace, TruthMeasure


class LargestError(TruthMeasure):
    """Largest error of a slice, and the whole number of pixels that exceed 100 HU."""

    version = 1
    summed = ("pixels",)
    columns = (
        Column("largest_error_hu", "largest error HU", "HU", "fidelity", "lower", ("truth",), explanation="The largest."),
        Column("pixels_off", "pixels off", None, "detail", "lower", ("truth",), decimals=0, explanation="How many."),
    )

    def of_slice(self, hu, truth):
        error = np.abs(hu - truth.hu)
        return {"largest_error_hu": error.max(), "pixels": (error > 100.0).sum()}

    def combine(self, statistics, pixel_mm):
        return {"largest_error_hu": float(statistics["largest_error_hu"]), "pixels_off": float(statistics["pixels"])}


class Levels(FeatureSpace):
    """Means of quarters of an image as features."""

    version = 1
    frechet, at_infinity = "fd_levels", "fd_inf_levels"
    columns = (
        Column("fd_levels", "FD (levels)", None, "distance", "lower", ("label",), explanation="Distance of levels."),
        Column("fd_inf_levels", "FD (levels) at N=inf", None, "detail", "lower", ("label",), explanation="Its limit."),
    )

    def sha256(self, weights):
        return ""

    def extractor(self, training, weights):
        class Quarters:
            version, sha256 = "1", "0" * 64

            def __call__(self, images):
                n, side, _ = images.shape
                return [images.reshape(n, 2, side // 2, 2, side // 2).mean((2, 4)).reshape(n, 4).astype(float)]

        return Quarters()
'''
NAMES = ["own_measures:LargestError", "own_measures:Levels"]


@pytest.fixture
def measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """The catalogue with both measures of a file on the Python path."""
    (tmp_path / "own_measures.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return catalogue(NAMES)


@pytest.fixture
def images() -> np.ndarray:
    """Nine chests with noise of their own; the first has an error of 280 HU in two pixels."""
    truth = chest()[0]
    images = truth + np.random.default_rng(0).uniform(-0.01, 0.01, (9, *truth.shape)).clip(0, 1)
    images[0, 80, 80:82] = truth[80, 80:82] + 0.2
    return images.clip(0, 1).astype(np.float32)


@pytest.fixture
def measured(measures: Catalogue, images: np.ndarray) -> Measurements:
    own = Catalogue({key: measures.measures[key] for key in NAMES})
    truth = slice_truth(chest()[0].astype(np.float32))
    return Measuring(own, [truth] * len(images), images[:2]).measure(images)


def test_it_is_measured_saved_and_loaded(measures: Catalogue, measured: Measurements, tmp_path: Path) -> None:
    columns = measured.fidelity()
    assert set(columns) == {"largest_error_hu", "pixels_off"} and columns["pixels_off"] == 2.0
    assert columns["largest_error_hu"] == pytest.approx((280.0 + 8 * 14.0) / 9, rel=0.01)
    twice_the_first = np.array([[2.0, *[1.0] * 7, 0.0]])
    assert measured.fidelity_replicates(twice_the_first)["pixels_off"][0] == 4.0
    measured.save(tmp_path / "m.npz")
    loaded = Measurements.load(tmp_path / "m.npz", measures)
    assert loaded.fidelity() == columns
    assert distances(loaded, measured)["fd_levels"] == pytest.approx(0.0, abs=1e-12)
    assert "fd_inf_levels" in distances(loaded, measured)


def test_it_is_in_rows_with_its_interval(measures: Catalogue, measured: Measurements) -> None:
    row = measure_row(measured, measured, draw_slices([str(i // 3) for i in range(9)], 50))
    assert {"largest_error_hu", "pixels_off", "fd_levels", "fd_inf_levels"} <= set(row.measures)
    assert row.intervals["largest_error_hu"][0] < row.measures["largest_error_hu"] < row.intervals["largest_error_hu"][1]
    assert row.replicates["fd_levels"].shape == (50,)


def test_it_is_shown_beside_the_others(measures: Catalogue) -> None:
    line = a_line("IPv2", {"rmse_hu": [50.0], "largest_error_hu": [283.4], "pixels_off": [7.0], "fd_levels": [0.25]})
    view = replace(a_view([line]), catalogue=measures)
    markdown = table_markdown(view)
    assert "| FD (levels) |" in markdown and "| largest error HU |" in markdown and "| 283 |" in markdown
    assert "| pixels off |" in detail_markdown(view) and "| 7 |" in detail_markdown(view)
    header, values = (text.split(",") for text in table_csv(view).splitlines())
    assert values[header.index("largest_error_hu")] == "283.4"
    assert measures.main_distance(line.values) == "fd_levels"


def test_it_is_ranked(measures: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [a_row(key=key, title=key, largest_error_hu=value) for key, value in (("a", 300.0), ("b", 250.0))]
    paths = [str(write_row(tmp_path, row.model_copy(update={"images": row.denoiser_key * 16}))) for row in rows]
    assert main(["rank", *paths, "--by", "largest_error_hu", "--extra", NAMES[0]]) == 0
    out = capsys.readouterr().out
    assert out.index("| b + IPv2 |") < out.index("| a + IPv2 |")
    assert main(["rank", *paths, "--by", "largest_error_hu"]) == 2
    assert "--by 'largest_error_hu' is unknown" in capsys.readouterr().err


def test_its_version_names_measurements(measures: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measuring_version(measures, None)
    assert before != measuring_version(catalogue(), None)
    monkeypatch.setattr(type(measures.measures[NAMES[0]]), "version", 2)
    assert measuring_version(measures, None) != before
