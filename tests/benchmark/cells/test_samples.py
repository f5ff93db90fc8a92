"""A validation slice is denoised now and then while a training goes on, and changes nothing of it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training import samples
from ipv2_bench.benchmark.cells.training.live import picture_of
from ipv2_bench.benchmark.cells.training.samples import LEAST_S, Samples
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.files import read_csv
from ipv2_bench.physics.seeding import torch_generator
from tests.benchmark.examples import a_table, table_line

pytestmark = pytest.mark.usefixtures("one_thread")


AVERAGED = "ema_decay: 0.9, ema_start: 5"
"""Test slices are denoised with averaged weights, and so are samples."""


@pytest.fixture(scope="module", params=["", AVERAGED])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CellSpec:
    own = f"denoisers.fm={{widths: [8, 16], steps: 2, {request.param}}}"
    words = [f"run.work={tmp_path_factory.mktemp('work')}", "train.steps=20", own]
    benchmark = Benchmark.open(load_config("smoke", words), [a_table(lines=[table_line("IPv1", "fm")])], progress=False)
    (one,) = benchmark.cells.values()
    return one


def test_the_last_sample_is_what_the_trained_denoiser_gives(
    spec: CellSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SHARE", math.inf)  # after every validation
    monkeypatch.setattr(samples, "LEAST_S", 0.0)
    with_it, without = (spec.model_copy(update={"folder": tmp_path / name}) for name in ("with", "without"))
    for one in (with_it, without):
        one.folder.mkdir()
    denoiser = train(with_it, lambda *_: None)
    rows = read_csv(with_it.folder / "samples.csv")
    assert [int(row["step"]) for row in rows] == list(range(2, 21, 2))
    i = int(spec.split.val[len(spec.split.val) // 2])
    low, truth = (np.asarray(images[i]) for images in (spec.slices.low, spec.slices.truth))
    own = denoiser.restore(torch.from_numpy(low)[None, None], torch_generator("samples", i))[0, 0].numpy()
    assert float(rows[-1]["psnr_db"]) == pytest.approx(-10 * math.log10(np.square(own - truth).mean()), rel=1e-5)
    with Image.open(picture_of(with_it.folder, 20)) as picture:
        shown = np.asarray(picture).astype(int)
    expected = np.concatenate([low, own, truth], axis=1).clip(0, 1) * 255
    assert shown.shape == expected.shape and np.abs(shown - expected).max() <= 0.51
    monkeypatch.setattr(Samples, "on_validation_epoch_end", lambda *_: None)
    train(without, lambda *_: None)
    assert not (without.folder / "samples.csv").exists()
    one, other = (load_file(s.folder / "model.safetensors") for s in (with_it, without))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_samples_take_a_small_share_of_the_time(spec: CellSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 10_000_000))
    clock = SimpleNamespace(monotonic=times.__next__)
    monkeypatch.setattr(samples, "time", clock)
    callback, logged = Samples(tmp_path, lambda step, values: logged.append(step)), []  # type: ignore[var-annotated]
    data = SimpleNamespace(split=spec.split, slices=spec.slices, context=1)
    module = SimpleNamespace(device=torch.device("cpu"), restore=lambda low, _: low)
    trainer = SimpleNamespace(is_global_zero=True, datamodule=data, global_step=0)
    callback.on_train_start(trainer, module)  # type: ignore[arg-type]
    for trainer.global_step in range(1, 301):
        callback.on_validation_epoch_end(trainer, module)  # type: ignore[arg-type]
    # Each takes one tick of about 300 to 306: the first, and then one in fifty.
    assert logged[0] == LEAST_S and 5 <= len(logged) <= 7 and callback.seconds == len(logged) <= 1 + 0.02 * 306
    assert callback.state_dict()["rows"] == [[step, pytest.approx(callback.rows[0][1])] for step in logged]
