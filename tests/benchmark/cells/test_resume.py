"""An interrupted training goes on from its checkpoint, and ends with the same weights to the last bit."""

from __future__ import annotations

import csv
import itertools
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.benchmark.config import load_config
from tests.benchmark.examples import a_table, table_line

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_same_history(one: Path, other: Path) -> None:
    rows = list(csv.DictReader(one.open(newline="")))
    assert [int(r["step"]) for r in rows] == list(range(1, 41))
    assert [int(r["step"]) for r in rows if r["val_loss"]] == list(range(4, 41, 4))
    assert one.read_bytes() == other.read_bytes()


class Interrupted(RuntimeError):
    pass


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the slices, which are the same for all."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def spec(request: pytest.FixtureRequest, work: Path, tmp_path: Path) -> CellSpec:
    (denoiser, _, strategy), (workers, *more) = request.param[0].partition(" under "), request.param[1:]
    options = [*more, f"run.work={work}", "train.steps=40", f"run.loader_workers={workers}", "noise.calibrate=false"]
    options += ["run.checkpoint_seconds=0"]
    if denoiser == "corediff":
        options.append("denoisers.corediff={width: 8, modulator: 4, steps: 3, ema_start: 5, ema_every: 2}")
    if denoiser == "du_gan":
        options.append("denoisers.du_gan={widths: [8, 16], critic_width: 4, critic_levels: 2, cutmix_warmup: 4}")
    table = a_table(lines=[table_line(strategy or "IPv2", denoiser)])
    benchmark = Benchmark.open(load_config("smoke", options), [table], progress=False)
    (one,) = benchmark.cells.values()
    return one.model_copy(update={"folder": tmp_path})


CROPS = ("train.crop=32", "train.crops_per_slice=2", "train.mirror=true")


CASES = [("fm", 0), ("fm", 1), ("corediff", 0), ("fm", 1, *CROPS), ("fm under correction", 0), ("fm under neighbor2neighbor", 1)]
CASES += [("du_gan", 0), ("du_gan under correction", 0)]
STOPS = [(case, stop) for k, case in enumerate(CASES) for stop in ((5, 17, 39) if k < 4 else (17,))]


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, tuple[CellSpec, Any]]:
    """Each case's run without a stop, by the identity of its cell."""
    return {}


@pytest.mark.parametrize(("spec", "stop_at"), STOPS, indirect=["spec"])
def test_weights_and_history_are_those_of_an_undisturbed_run(
    spec: CellSpec, stop_at: int, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, tuple[CellSpec, Any]], work: Path
) -> None:
    if spec.cell_id not in undisturbed:
        own = spec.model_copy(update={"folder": work / "undisturbed" / spec.cell_id})
        own.folder.mkdir(parents=True)
        undisturbed[spec.cell_id] = own, train(own, lambda *_: None)
    whole, first = undisturbed[spec.cell_id]
    broken = spec.model_copy(update={"folder": spec.folder / "broken"})
    broken.folder.mkdir(parents=True)
    seen: list[int] = []

    def interrupt(stage: str, step: int, total: int) -> None:
        seen.append(step)
        if step >= stop_at:
            raise Interrupted

    # Every step is reported.
    clock = SimpleNamespace(monotonic=itertools.count().__next__, perf_counter=time.perf_counter)
    monkeypatch.setattr("ipv2_bench.benchmark.cells.training.callbacks.time", clock)
    with pytest.raises(Interrupted):
        train(broken, interrupt)
    assert (broken.folder / "last.ckpt").exists() and not (broken.folder / "model.safetensors").exists()
    seen.clear()
    second = train(broken, lambda stage, step, total: seen.append(step))
    # The step that was cut off is done again, and after a validation the one before it.
    assert stop_at - 1 <= seen[0] <= stop_at and seen[-1] == 40
    assert_same_history(whole.folder / "history.csv", broken.folder / "history.csv")
    expected, got = (load_file(one.folder / "model.safetensors") for one in (whole, broken))
    assert expected.keys() == got.keys() and all(torch.equal(expected[k], got[k]) for k in expected)
    # Nothing but the weights shapes the images: they are equal to the last bit.
    low = torch.from_numpy(spec.slices.low[spec.split.test[:2]])[:, None]
    images = [m.restore(low, torch.Generator().manual_seed(0)) for m in (first, second)]
    assert torch.equal(*images)


@pytest.mark.parametrize("spec", [("fm", 0)], indirect=True)
def test_the_cost_is_that_of_the_whole_training(spec: CellSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count()

    def interrupt(stage: str, step: int, total: int) -> None:
        if step >= 17:
            raise Interrupted

    clock = SimpleNamespace(monotonic=seconds.__next__, perf_counter=lambda: 1000.0 * next(seconds))
    monkeypatch.setattr("ipv2_bench.benchmark.cells.training.callbacks.time", clock)
    with pytest.raises(Interrupted):
        train(spec, interrupt)
    saved = torch.load(spec.folder / "last.ckpt", weights_only=True)["callbacks"]["Spent"]
    assert saved["seconds"] > 1000.0 and spec.training_cost.seconds == 0.0
    train(spec, lambda *_: None)
    whole = spec.training_cost
    assert whole.seconds > saved["seconds"] and whole.peak_memory_mb >= saved["peak_memory_mb"] > 10.0
    # The weights are complete: what was spent on them stays the same.
    train(spec, lambda *_: None)
    assert spec.training_cost == whole
