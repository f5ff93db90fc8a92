"""Nodules are put in, scanned, denoised and read: what removes them is seen, and what cannot be asked is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.tasks.study import detection
from ipv2_bench.benchmark.tasks.study.detection import detect
from ipv2_bench.denoisers.filters.gaussian import GaussianFilter
from ipv2_bench.errors import InputError
from tests.program import table

TABLE = """
title: filters
rows:
  - {denoiser: gaussian, strategy: oracle}
  - {denoiser: identity, strategy: raw}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("detection")
    (folder / "filters.yaml").write_text(TABLE)
    data = ["data.patients=6", "data.fractions=[0.34,0.16,0.5]", "data.size=96", "data.levels=3"]
    words = [*data, f"tables=[{folder / 'filters.yaml'}]", f"run.work={folder / 'runs'}", f"run.out={folder / 'out'}"]
    config = load_config("smoke", [*words, "wandb.mode=disabled"])
    assert not Benchmark.open(config, load_tables(config), progress=False).compute(progress=False)
    return config


def lines(config: Config, stem: str = "detection") -> dict[str, dict[str, str]]:
    return {line["images"]: line for line in table(config.out / f"{stem}.csv")}


def test_what_removes_nodules_is_seen(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    text = detect(config, "solid", readings=2, progress=False)
    assert text == (config.out / "detection_solid.md").read_text() and "solid nodules of -50 to 50 HU" in text
    before = lines(config, "detection_solid")
    assert set(before) == {"uLDCT", "Gaussian + oracle"}  # the identity's output is the uLDCT
    for line in before.values():
        for size in (4, 6, 8, 10):
            assert int(line[f"{size} mm n"]) >= 10
            low, value, high = (line[f"LG-CHO {size} mm AUC{end}"] for end in (" low", "", " high"))
            # Where every nodule is told from every place without one, draws of patients show no spread.
            assert 0.0 <= float(low) <= float(value) <= float(high) <= 1.0 if low else float(value) == 1.0
    # Solid nodules of 10 mm stand out of the noise.
    assert float(before["uLDCT"]["LG-CHO 10 mm AUC"]) > 0.9 and float(before["uLDCT"]["NPW 10 mm d'"]) > 1.5

    def flattened(self: GaussianFilter, low: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return low.clamp(max=0.15) * 0.01 + low.mean()  # nothing of a nodule is left but noise

    monkeypatch.setattr(GaussianFilter, "denoise", flattened)
    detect(config, "solid", readings=2, progress=False)
    assert lines(config, "detection_solid") == before  # what was read of a cell is kept
    for kept in config.work.glob("cells/*/detection-*.json"):
        kept.unlink()
    detect(config, "solid", readings=2, progress=False)
    after = lines(config, "detection_solid")
    assert after["uLDCT"] == before["uLDCT"]
    assert float(after["Gaussian + oracle"]["NPW 10 mm AUC"]) < float(before["Gaussian + oracle"]["NPW 10 mm AUC"]) - 0.1


def test_ground_glass_is_harder(config: Config) -> None:
    detect(config, "solid", readings=1, progress=False)
    detect(config, readings=1, progress=False)
    page = (config.out / "filters.html").read_text()
    assert "Ground-glass nodules, matched filter" in page and "Solid nodules, channelised Hotelling observer" in page
    glass, solid = lines(config)["uLDCT"], lines(config, "detection_solid")["uLDCT"]
    mean = [np.mean([float(line[f"NPW {size} mm AUC"]) for size in (4, 6, 8, 10)]) for line in (glass, solid)]
    assert mean[0] < mean[1]


def test_noise_differs_with_and_without_and_from_reading_to_reading(config: Config) -> None:
    benchmark = Benchmark.open(config, load_tables(config), progress=False)
    task = detection._task(benchmark, "solid", 2, progress=False)
    again = detection._task(benchmark, "solid", 2, progress=False)
    one, other = task.readings
    assert np.array_equal(one.present, again.readings[0].present) and task.signals == again.signals
    outside = np.s_[:, :8, :8]  # air far from any nodule
    for first, second in ((one.absent, one.present), (one.absent, other.absent), (one.present, other.present)):
        assert not np.array_equal(first[outside], second[outside])
    test = benchmark.prepared.split.test
    own = np.asarray(benchmark.prepared.slices.low[test])
    # The scan is the uLDCT's: as noisy, and not the same.
    ratio = (one.absent - own).std() / (own - np.asarray(benchmark.prepared.slices.truth[test])).std()  # type: ignore[index]
    assert ratio == pytest.approx(np.sqrt(2), rel=0.1)


def test_what_cannot_be_asked_is_refused(config: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--kind is 'solit': did you mean solid\? use one of solid, ground_glass"):
        detect(config, "solit")
    with pytest.raises(InputError, match="--readings is 0: expected at least 1"):
        detect(config, readings=0)
    to = [f"run.work={tmp_path}", f"run.out={tmp_path}"]
    with pytest.raises(InputError, match="are not complete: run ipv2-bench reproduce"):
        detect(load_config("smoke", ["train.steps=3", *to]), progress=False)
    (tmp_path / "untouched.yaml").write_text("title: none\nrows:\n  - {denoiser: identity, strategy: raw}\n")
    few = load_config("smoke", [*to, f"tables=[{tmp_path / 'untouched.yaml'}]"])
    with pytest.raises(InputError, match=r"[12] test patients: observers are trained on others than they read, and need 3"):
        detect(few, progress=False)
