"""The catalogue: complete columns, one owner each, the best value first in every ranking, and no heavy import."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ipv2_bench.benchmark.rows.files import write_row
from ipv2_bench.benchmark.rows.row import Row, RowDenoiser
from ipv2_bench.benchmark.tasks.rank import rank
from ipv2_bench.benchmark.views.table_view import DETAIL, MAIN
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.base import GROUPS, Column, CostMeasure, FeatureSpace, LabelMeasure, TruthMeasure
from ipv2_bench.metrics.catalogue import catalogue
from tests.benchmark.examples import COST, a_row

MEASURES = catalogue()
COLUMNS = list(MEASURES.columns.values())


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.name)
def test_every_column_is_described(column: Column) -> None:
    assert column.name.isidentifier() and column.heading and column.explanation.endswith(".")
    assert column.group in GROUPS
    assert column.ideal in ("higher", "lower") or isinstance(column.ideal, float)
    assert column.unit in (None, "HU", "dB", "1/mm", "s", "MB", "%")
    if column.unit not in (None, "s"):
        assert column.unit in column.heading
    assert column.scale in ("log", "fisher", "identity")
    assert set(column.needs) <= {"truth", "nodules", "label", "weights"}


def test_every_measure_has_the_scale_on_which_it_lives() -> None:
    any_sign = {c.name for c in COLUMNS if c.name.startswith(("kid", "cmmd", "bias", "psnr", "nps", "laa950"))}
    may_be_zero = {c.name for c in COLUMNS if c.name.startswith(("precision", "recall", "density", "coverage"))}
    any_sign |= may_be_zero | {c.name for c in COLUMNS if "structure" in c.name} | {"lung_spectrum_high_db"}
    bounded = {c.name for c in COLUMNS if "ssim" in c.name or c.name == "fsim_label"}
    for column in COLUMNS:
        expected = "identity" if column.name in any_sign else "fisher" if column.name in bounded else "log"
        assert column.scale == expected, column.name


def test_names_and_headings_are_unique() -> None:
    names = [c.name for measure in MEASURES.measures.values() for c in measure.columns]
    assert len(set(names)) == len(names) == len(COLUMNS)
    assert len({c.heading for c in COLUMNS}) == len(COLUMNS)


def test_columns_need_what_their_kind_of_measure_needs() -> None:
    kinds: dict[type, set[str]] = {
        TruthMeasure: {"truth", "nodules"},
        LabelMeasure: {"label"},
        FeatureSpace: {"label", "weights"},
        CostMeasure: set(),
    }
    for measure in MEASURES.measures.values():
        (possible,) = (needs for kind, needs in kinds.items() if isinstance(measure, kind))
        for column in measure.columns:
            assert set(column.needs) <= possible, column.name
            assert isinstance(measure, CostMeasure) == (column.group == "cost"), column.name
            assert MEASURES.space_of(column.name) == (
                MEASURES.computed_in[column.name] if isinstance(measure, FeatureSpace) else None
            )


def test_columns_are_in_the_order_of_their_groups_and_all_are_shown() -> None:
    groups = [c.group for c in COLUMNS]
    assert groups == sorted(groups, key=list(GROUPS).index)
    assert {*MAIN, *DETAIL, "cost"} == set(GROUPS)
    assert MEASURES.of_group("cost") == ["seconds_per_slice", "network_calls", "inference_memory_mb"]
    assert MEASURES.published == ["fid", "kid_x100", "clip_fid_x100"]


def test_the_main_distance_is_fid_where_it_is_measured() -> None:
    names = {"kid_x100_randconv", "fd_randconv", "psnr_db"}
    assert MEASURES.main_distance(names) == "fd_randconv"
    assert MEASURES.main_distance(names | {"clip_fid_x100"}) == "clip_fid_x100"
    assert MEASURES.main_distance(names | {"clip_fid_x100", "fid"}) == "fid"
    assert MEASURES.main_distance({"psnr_db"}) is None


@pytest.mark.parametrize(
    ("ideal", "best_first", "text"),
    [
        ("higher", [3.0, 1.0, -2.0], "higher is better"),
        ("lower", [-2.0, 1.0, 3.0], "lower is better"),
        (1.0, [1.0, 0.9, 1.2, 0.7, 1.9, -1.0], "1 is best"),
        (0.0, [0.0, -0.1, 0.2, -5.0, 6.0], "0 is best"),
    ],
)
def test_the_best_value_costs_least(ideal: Any, best_first: list[float], text: str) -> None:
    column = replace(COLUMNS[0], ideal=ideal)
    assert sorted(sorted(best_first), key=column.cost_of) == best_first
    for value, worse in itertools.pairwise(best_first):
        assert column.better(value, worse) and not column.better(worse, value) and not column.better(value, value)
    assert column.ideal_text == text


def test_values_are_shown_with_their_decimals() -> None:
    assert COLUMNS[0].text(12.3456) == "12.3" and MEASURES.columns["ssim"].text(0.98765) == "0.988"


def with_value(column: Column, value: float, name: str) -> Row:
    """A row of a denoiser of that name with one value."""
    if column.group == "cost":
        row = a_row()
        cost = COST.model_copy(update={column.name: int(value) if column.name == "network_calls" else value})
        row = row.model_copy(update={"cost": cost})
    else:
        row = a_row(**{column.name: value})
    return row.model_copy(update={"denoiser": RowDenoiser(key=name, title=name), "images": f"{ord(name):016x}"})


def best_first(column: Column) -> list[float]:
    """Four values, each better than the next."""
    if isinstance(column.ideal, str):
        values = [2.0, 3.0, 5.0, 11.0]
        return values if column.ideal == "lower" else values[::-1]
    return [column.ideal + difference for difference in (-0.1, 0.2, -0.5, 0.9)]


def order(text: str) -> list[str]:
    """Names of the ranked denoisers, the first before all."""
    return [line.split("|")[2].split("+")[0].strip() for line in text.splitlines() if line[:3].strip("| ").isdigit()]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.name)
def test_rank_puts_the_best_first_by_every_column(
    column: Column, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = dict(zip("ABCD", best_first(column), strict=True))
    paths = [write_row(tmp_path, with_value(column, values[name], name)) for name in "CADB"]
    assert len(set(paths)) == 4
    text = rank(paths, column.name)
    assert order(text) == list("ABCD")
    assert f"{column.heading}, {column.ideal_text}" in text
    assert main(["rank", *map(str, paths), "--by", column.name]) == 0
    assert order(capsys.readouterr().out) == list("ABCD")


@pytest.mark.parametrize("name", ["edge_mtf50", "nodule_contrast"])
def test_what_is_nearest_to_the_truth_is_first(name: str, tmp_path: Path) -> None:
    values = {"A": 0.2, "B": 0.97, "C": 1.6, "D": 0.6}  # A and D too smooth, C too sharp
    paths = [write_row(tmp_path, with_value(MEASURES.columns[name], value, key)) for key, value in values.items()]
    assert order(rank(paths, name)) == ["B", "D", "C", "A"]


def test_an_unknown_column_is_refused_with_a_suggestion() -> None:
    assert MEASURES.column("fd_randconv").name == "fd_randconv"
    with pytest.raises(InputError, match=r"--by 'rmse' is unknown: did you mean \w+\? use one of fid, .*rmse_hu_rim"):
        MEASURES.column("rmse", "--by")


def test_two_measures_that_fill_one_column_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice_measured.py").write_text(
        "from ipv2_bench.metrics.measures.image_error import ImageError\n\n\nclass Again(ImageError):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="measures image_error and twice_measured:Again both fill the column psnr_db"):
        catalogue(["twice_measured:Again"])
    with pytest.raises(InputError, match=r"module 'no_such_measure' of 'no_such_measure:X' is not on the Python path"):
        catalogue(["no_such_measure:X"])
    with pytest.raises(InputError, match=r"measure 'sharpness' is unknown: use one of checkerboard, clip, cost"):
        catalogue(["sharpness"])
    assert catalogue(["randconv"]).columns == MEASURES.columns  # named twice, it is there once


def test_the_catalogue_imports_no_torch() -> None:
    code = (
        "import sys\nfrom ipv2_bench.metrics.catalogue import catalogue\n"
        "columns = catalogue().columns\nprint(len(columns), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    number, *modules = done.stdout.split()
    assert int(number) == len(COLUMNS)
    heavy = {"torch", "torchmetrics", "lightning", "scipy", "skimage", "pandas", "pooch", "piq", "open_clip", "cleanfid"}
    assert not heavy & set(modules)
