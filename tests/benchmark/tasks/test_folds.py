"""A benchmark in folds: every patient is tested once by a training that has not seen it, and rows pool the folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.errors import InputError
from ipv2_bench.folders.purify import purify_pairs
from tests.program import run_here, table

TABLE = """title: folds
rows:
  - {denoiser: identity, strategy: raw}
  - {denoiser: gaussian, strategy: oracle}
  - {label: IPv2(NDCT), denoiser: fm, strategy: IPv2}
  - {denoiser: corediff, strategy: oracle}
"""
FOLDS = ("data.folds=2", "data.fractions=[1.0,0.0,0.0]", "data.test_slices=3", "tables=[table_folds.yaml]")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in two folds."""
    folder = tmp_path_factory.mktemp("folds")
    (folder / "table_folds.yaml").write_text(TABLE)
    run_here(folder, "reproduce", "--config", "smoke", *FOLDS)
    return folder


@pytest.fixture(scope="module")
def benchmark(done: Path) -> Benchmark:
    table_file = f"tables=[{done / 'table_folds.yaml'}]"
    config = load_config("smoke", [*FOLDS[:-1], table_file, f"run.work={done / 'runs'}", f"run.out={done / 'leaderboards'}"])
    return Benchmark.open(config, load_tables(config), progress=False)


def test_every_patient_is_tested_once_by_a_training_that_has_not_seen_it(benchmark: Benchmark) -> None:
    prepared = benchmark.prepared
    assert len(prepared.split.test) == 4 * 3 and len(set(prepared.test_patients)) == 4
    for spec in benchmark.cells.values():
        assert spec.complete and len(spec.trainings) == 2
        images, seen = np.load(spec.images_path), []
        for training in spec.trainings:
            trained, tested = ({prepared.slices.patient[i] for i in part} for part in (training.split.train, training.split.test))
            assert len(trained) == len(tested) == 2 and not trained & tested
            places = np.searchsorted(prepared.split.test, training.split.test)
            np.testing.assert_array_equal(images[places], np.load(training.images_path))
            seen += places.tolist()
        assert sorted(seen) == list(range(12)) and np.isfinite(images).all()
        assert spec.cost.seconds_training == pytest.approx(sum(t.cost.seconds_training for t in spec.trainings))
    assert len({fold.add_noise.acquisition.photons for fold in prepared.folds}) == 2


def test_rows_pool_the_folds_and_say_so(done: Path) -> None:
    lines = table(done / "leaderboards" / "smoke" / "table_folds.csv")
    assert [line["n_images"] for line in lines] == ["12"] * 4 and {line["n_patients"] for line in lines} == {"4"}
    assert all(float(line["rmse_hu_low"]) < float(line["rmse_hu"]) < float(line["rmse_hu_high"]) for line in lines)
    rows = [json.loads(p.read_text()) for p in (done / "leaderboards" / "smoke" / "rows").glob("*.json")]
    assert len(rows) == 4
    for row in rows:
        assert row["provenance"]["split"]["folds"] == 2 and row["intervals_over"] == "patients"
        assert len(row["provenance"]["module_2"]["acquisition"]["photons"]) == 2
    (page,) = (done / "leaderboards" / "smoke").glob("*.html")
    assert "each tested by one of 2 trainings that have not seen them" in page.read_text()


def test_each_fold_keeps_its_weights_and_they_give_the_images(done: Path) -> None:
    files = sorted(p.parent.name for p in (done / "runs" / "smoke" / "cells").rglob("model.safetensors"))
    assert files.count("fold-0") == files.count("fold-1") == 4  # weak denoiser, FM, CoreDiff, and the filter's strength
    paths = [str(p) for p in (done / "leaderboards" / "smoke" / "rows").glob("*.json")]
    said = run_here(done, "verify", *paths, "--weights", "--config", "smoke", *FOLDS).stdout
    assert said.count(": equal (") == 4
    runs = done / "runs" / "smoke" / "wandb" / "wandb"
    assert len(list(runs.glob("offline-run-*"))) == 5 + 1


def test_a_second_run_has_nothing_to_do(done: Path) -> None:
    again = run_here(done, "reproduce", "--config", "smoke", *FOLDS)
    assert "5 cells, 5 of them complete" in again.stdout and "could not be written" not in again.stderr


def test_folds_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.folds deals out patients, and data.split is slice"):
        load_config("smoke", ["data.folds=2", "data.split=slice"])
    refused = run_here(tmp_path, "split", "--write", "split.json", "--config", "smoke", "data.folds=2", code=2)
    assert "ipv2-bench split takes one split, and data.folds is 2: set data.folds=null" in refused.stderr
    with pytest.raises(InputError, match="ipv2-bench purify takes one split"):
        purify_pairs(load_config("smoke", ["data.folds=2", f"run.work={tmp_path}"]), tmp_path / "out", "IPv2", "flood_fill")
