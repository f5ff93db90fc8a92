"""What a training user expects: schedules, accumulation, precision, compilation, neighbouring slices."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.plan import check_denoisers
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.settings import TrainSettings
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.denoisers.base import SCHEDULES, Denoiser
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.ffm import FrequencyFlowMatching
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.one_pass.red_cnn import REDCNN
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy
from tests.benchmark.examples import a_table, table_line

SMALL = {"widths": [8, 16], "steps": 2, "dropout": 0.0}
pytestmark = pytest.mark.usefixtures("one_thread")


def spec_of(work: Path, folder: Path, denoiser: str, *settings: str) -> CellSpec:
    """A small cell on smoke's slices, in a folder of its own."""
    small = [f"denoisers.{name}={{widths: [8, 16], steps: 2, dropout: 0.0}}" for name in ("fm", "ffm")]
    options = [f"run.work={work}", "train.steps=4", "noise.calibrate=false", *small, *settings]
    table = a_table(lines=[table_line("IPv1", denoiser)])
    benchmark = Benchmark.open(load_config("smoke", options), [table], progress=False)
    folder.mkdir(exist_ok=True)
    return next(iter(benchmark.cells.values())).model_copy(update={"folder": folder})


def trained(spec: CellSpec) -> dict[str, torch.Tensor]:
    train(spec, lambda *_: None)
    return load_file(spec.folder / "model.safetensors")


def history(spec: CellSpec) -> list[dict[str, str]]:
    return list(csv.DictReader((spec.folder / "history.csv").open(newline="")))


def rates(schedule: str, warmup: int, steps: int) -> list[float]:
    denoiser = FlowMatching(widths=(8,), lr=0.5, schedule=schedule, warmup=warmup)
    denoiser.trainer = type("T", (), {"estimated_stepping_batches": steps})()  # type: ignore[assignment]
    configured = denoiser.configure_optimizers()
    if not isinstance(configured, dict):
        return [configured.param_groups[0]["lr"]] * steps
    rates = []
    for _ in range(steps):
        rates.append(configured["optimizer"].param_groups[0]["lr"])
        configured["optimizer"].step()
        configured["lr_scheduler"]["scheduler"].step()
    return rates


def test_courses_of_the_learning_rate() -> None:
    assert get_args(TrainSettings.model_fields["schedule"].annotation) == SCHEDULES
    assert rates("constant", 0, 5) == [0.5] * 5
    assert rates("constant", 4, 6) == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    expected = [0.25 * (1 + np.cos(np.pi * i / 8)) for i in range(8)]
    assert rates("cosine", 0, 8) == pytest.approx(expected)
    assert rates("cosine", 2, 10) == pytest.approx([0.25, 0.5, *expected])
    cycle = rates("one_cycle", 0, 40)
    assert cycle[0] < 0.05 and max(cycle) == pytest.approx(0.5) and cycle[-1] < 0.001


def test_accumulated_batches_are_one_large_batch(work: Path, tmp_path: Path) -> None:
    # Two batches draw other times than one of their size: with the times held, the loss is a mean over slices.
    small = spec_of(work, tmp_path / "a", "fm", "train.batch_size=2", "train.accumulate=2")
    large = spec_of(work, tmp_path / "b", "fm", "train.batch_size=4")
    assert small.cell_id != large.cell_id
    a, b = history_of_fixed_loss(small), history_of_fixed_loss(large)
    assert [r["step"] for r in a] == [r["step"] for r in b] == ["1", "2", "3", "4"]
    assert [float(r["loss"]) for r in a] == pytest.approx([float(r["loss"]) for r in b], rel=1e-5)


def history_of_fixed_loss(spec: CellSpec) -> list[dict[str, str]]:
    """Train with every time at a half."""
    with pytest.MonkeyPatch.context() as patch:
        rand = torch.rand
        patch.setattr(torch, "rand", lambda *n, **how: 0 * rand(*n, **how) + 0.5)
        train(spec, lambda *_: None)
    return history(spec)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("cls", [FlowMatching, FrequencyFlowMatching, CoreDiff])
def test_mixed_precision_stays_near_full_precision(precision: str, cls: type) -> None:
    torch.manual_seed(0)
    denoiser = cls(
        steps=2, **({"width": 8, "modulator": 4} if cls is CoreDiff else {"widths": (8, 16), "dropout": 0.0})
    )
    with torch.no_grad():
        for p in denoiser.parameters():
            p.add_(0.02 * torch.randn(p.shape))
    seen: dict[str, torch.dtype] = {}
    if cls is FrequencyFlowMatching:
        branch = denoiser.network.middle[0].second[3].spectral
        branch.amplitude[0].register_forward_pre_hook(lambda _, given: seen.update(inside=given[0].dtype))
    low = torch.rand(2, 1, 16, 16)
    exact = denoiser.restore(low)
    half = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    with torch.autocast("cpu", dtype=half):
        mixed = denoiser.restore(low)
        x, t = torch.rand(2, 1, 16, 16, requires_grad=True), torch.tensor([1, 1])
        call = (x, t, low, low) if cls is CoreDiff else (x, t / 2)
        denoiser.network(*call).float().square().mean().backward()
    assert seen.get("inside", torch.float32) == torch.float32
    assert 0 < float((mixed.float() - exact).abs().max()) < 0.05
    assert x.grad is not None and torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in denoiser.parameters() if p.grad is not None)


def test_bf16_trains_through_the_benchmark(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(work, tmp_path, "ffm", "train.precision=bf16-mixed")
    seen: set[torch.dtype] = set()
    forward = torch.nn.Conv2d.forward

    def watched(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        output = forward(self, x)
        seen.add(output.dtype)
        return output

    monkeypatch.setattr(torch.nn.Conv2d, "forward", watched)
    weights = trained(spec)
    assert torch.bfloat16 in seen
    assert all(v.dtype == torch.float32 and torch.isfinite(v).all() for v in weights.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it works")
def test_half_precision_without_a_gpu_is_refused() -> None:
    config = load_config("smoke", ["train.precision=16-mixed"])
    with pytest.raises(InputError, match=r"train.precision=16-mixed needs a GPU: use bf16-mixed or 32-true"):
        check_denoisers(config, [])


@pytest.mark.parametrize("clip", [None, 0.01])
def test_gradients_are_clipped(clip: float | None, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(work, tmp_path, "fm", f"train.clip={'null' if clip is None else clip}")
    norms: list[float] = []
    original = FlowMatching.configure_optimizers

    def watched(self: FlowMatching) -> object:
        configured = original(self)
        optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
        optimizer.register_step_post_hook(
            lambda *_: norms.append(
                float(torch.stack([p.grad.norm() for p in self.parameters() if p.grad is not None]).norm())
            )
        )
        return configured

    monkeypatch.setattr(FlowMatching, "configure_optimizers", watched)
    train(spec, lambda *_: None)
    assert len(norms) == 4
    assert all(n == pytest.approx(clip, rel=1e-3) if clip else n > 0.02 for n in norms)


def outputs(spec: CellSpec, **change: Callable[[Denoiser], object]) -> torch.Tensor:
    """What the trained denoiser makes of two slices, in float64."""
    denoiser = load_denoiser(spec.weights_path)[0].double()
    for apply in change.values():
        apply(denoiser)
    return denoiser.restore(torch.rand(2, 1, 32, 32, dtype=torch.float64, generator=torch_generator("slices")))


def test_channels_last_changes_nothing_but_rounding(work: Path, tmp_path: Path) -> None:
    one, other = spec_of(work, tmp_path / "a", "fm"), spec_of(work, tmp_path / "b", "fm", "train.channels_last=true")
    assert one.cell_id != other.cell_id
    a, b = trained(one), trained(other)
    assert all(b[k].is_contiguous() for k in b)
    losses = [[float(r["loss"]) for r in history(s)] for s in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert a.keys() == b.keys()
    torch.testing.assert_close(outputs(one), outputs(other), rtol=0, atol=1e-5)


def test_compiled_networks_keep_names_and_outputs(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    compile_ = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda m: called.append(type(m).__name__) or compile_(m, backend="aot_eager")
    )
    plain, other = spec_of(work, tmp_path / "a", "fm"), spec_of(work, tmp_path / "b", "fm", "train.compile=true")
    a, b = trained(plain), trained(other)
    assert called == ["UNet"] and plain.cell_id != other.cell_id
    assert a.keys() == b.keys()
    losses = [[float(r["loss"]) for r in history(s)] for s in (plain, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # Not the weights: Adam moves one whose gradient is but a rounding error as far as any other.
    torch.testing.assert_close(outputs(plain), outputs(other), rtol=0, atol=1e-6)
    compiled = outputs(other, compiled=Denoiser.compile_networks)
    assert called == ["UNet"] * 2
    torch.testing.assert_close(compiled, outputs(other), rtol=0, atol=1e-14)


def test_layers_in_lists_are_compiled_by_their_denoiser(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f: compiled.append(f.__name__) or compile_(f, backend="eager"))
    denoiser, low = REDCNN(width=8), torch.rand(1, 1, 16, 16)
    plain, names = denoiser.restore(low), list(denoiser.state_dict())
    denoiser.compile_networks()
    torch.testing.assert_close(denoiser.restore(low), plain)
    assert compiled == ["_forward"] and list(denoiser.state_dict()) == names
    with pytest.raises(
        TypeError, match=r"^REDCNN\.encoder is a list of layers: override compile_networks to compile it$"
    ):
        Denoiser.compile_networks(denoiser)


def stacked(phantom: SliceSet) -> SliceSet:
    """Two runs of neighbours: slices 0 1 2, and 3 4 5."""
    return replace(phantom, stack=("a", "a", "a", "b", "b", "b"))


def test_neighbours_end_with_their_stack(phantom: SliceSet) -> None:
    slices = stacked(phantom)
    neighbourhoods = [slices.neighbourhood(i, 3) for i in range(6)]
    assert neighbourhoods == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 5], [4, 5, 5]]
    assert slices.neighbourhood(2, 1) == [2]
    near = slices.with_neighbours(slices.low, np.array([2, 4]), 3)
    assert near.shape == (2, 3, 128, 128) and np.array_equal(near[1], slices.low[3:6])
    with pytest.raises(InputError, match=r"context of 3 slices needs slices in order"):
        phantom.neighbourhood(0, 3)


@pytest.mark.parametrize("strategy", ["IPv2", "raw"])
def test_neighbours_are_purified_like_the_slice(phantom: SliceSet, strategy: str) -> None:
    from tests.data.test_datamodule import MODEL

    slices, split = stacked(phantom), Split(np.arange(5), np.zeros(0, int), np.array([5]))
    chosen = Strategy.from_name(strategy)
    alone, wide = (PairedCTDataModule(slices, split, chosen, MODEL, batch_size=2, seed=3, context=c) for c in (1, 3))
    for module in (alone, wide):
        module.setup("fit")
    whole = {}
    for i in range(0, 5, 1):
        data = PairedCTDataModule(slices, Split(np.array([i, i]), split.val, split.test), chosen, MODEL, 1, seed=3)
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        whole[i] = data.purify(batch, 0)
    for batch in wide.train_dataloader():
        purified = wide.on_after_batch_transfer(batch, 0)
        assert purified.input.shape == (2, 3, 128, 128) and purified.target.shape == (2, 1, 128, 128)
        for k, near in enumerate(batch.slice_index.tolist()):
            assert wide.latest[k] == near[1]
            torch.testing.assert_close(purified.target[k], wide_target(whole, near[1], slices), rtol=0, atol=1e-6)


def wide_target(whole: dict, i: int, slices: SliceSet) -> torch.Tensor:
    return whole[i].target[0] if i in whole else torch.from_numpy(np.array(slices.normal[i]))[None]


def test_context_with_a_split_by_slice_is_refused() -> None:
    config = load_config("smoke", ["denoisers.corediff.context=3", "data.split=slice"])
    with pytest.raises(InputError, match=r"data.split=slice would show it"):
        check_denoisers(config, [])
