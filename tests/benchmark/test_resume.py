"""An interrupted training goes on from its checkpoint, and ends with the same weights to the last bit."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from ipv2_bench.benchmark.cell import CellSpec, train
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.plan import plan_cells, prepare
from ipv2_bench.benchmark.tables import Table, TableRow
from ipv2_bench.purification import Strategy

SMOKE = Path(__file__).parents[2] / "experiments" / "smoke.yaml"


def assert_same_history(one: Path, other: Path) -> None:
    rows = list(csv.DictReader(one.open(newline="")))
    assert [int(r["step"]) for r in rows] == list(range(1, 41))
    assert [int(r["step"]) for r in rows if r["val_loss"]] == list(range(4, 41, 4))
    assert one.read_bytes() == other.read_bytes()


class Interrupted(RuntimeError):
    pass


@pytest.fixture
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> CellSpec:
    denoiser, workers = request.param
    options = [f"run.work={tmp_path}", "train.steps=40", f"run.loader_workers={workers}", "noise.calibrate=false"]
    if denoiser == "corediff":
        options.append("denoisers.corediff={width: 8, modulator: 4, steps: 3, ema_start: 5, ema_every: 2}")
    config = load_config(SMOKE, options)
    table = Table("one", "one", "denoised", (TableRow("NDCT", denoiser, Strategy.from_name("IPv2")),), {})
    ready = prepare(config, progress=False)
    return next(s for s in plan_cells(ready, [table]).values() if s.denoiser == denoiser)


@pytest.mark.parametrize("spec", [("fm", 0), ("fm", 1), ("corediff", 0)], indirect=True)
@pytest.mark.parametrize("stop_at", [5, 17, 39])
def test_weights_and_history_are_those_of_an_undisturbed_run(
    spec: CellSpec, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPV2_BENCH_CHECKPOINT_SECONDS", "0")
    whole = replace(spec, folder=spec.folder / "whole")
    broken = replace(spec, folder=spec.folder / "broken")
    for one in (whole, broken):
        one.folder.mkdir(parents=True)
    first = train(whole, lambda *_: None)
    seen: list[int] = []

    def interrupt(stage: str, step: int, total: int) -> None:
        seen.append(step)
        if step >= stop_at:
            raise Interrupted

    clock = SimpleNamespace(monotonic=itertools.count().__next__)  # so that every step is told
    monkeypatch.setattr("ipv2_bench.benchmark.callbacks.time", clock)
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
    # Nothing outside of the weights shapes what they make of a slice: not even in the last bit.
    low = torch.from_numpy(spec.slices.low[spec.split.test[:2]])[:, None]
    images = [m.restore(low, torch.Generator().manual_seed(0)) for m in (first, second)]
    assert torch.equal(*images)
