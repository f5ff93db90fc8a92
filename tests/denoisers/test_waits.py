"""A training step gives a GPU its work and does not wait for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ipv2_bench.benchmark.cells.training.callbacks import READ_EVERY, Finite, History
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Crops, TrainingPair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise
from tests.data.conftest import EVERYTHING, MODEL, trainer_at
from tests.denoisers.small import LEARNED, build
from tests.stub_device import DEVICE, OnDevice, stub_device


@pytest.mark.parametrize("strategy", ["IPv1", "IPv2", "simulated", "oracle"])
def test_purifying_waits_for_nothing(strategy: str, phantom: SliceSet) -> None:
    model = AddNoise(MODEL.window, MODEL.acquisition, redraw=False)
    crops = Crops(32, 2, mirror=True)
    data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name(strategy), model, batch_size=2, crops=crops)
    data.trainer = trainer_at(0, device=DEVICE)  # type: ignore[assignment]
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    with stub_device() as device:
        moved = data.transfer_batch_to_device(batch, DEVICE, 0)
        pair = data.on_after_batch_transfer(moved, 0)
    assert data.latest == batch.slice_index.tolist()
    assert device.waits == []
    assert pair.input.device == DEVICE and pair.input.shape == (4, 1, 32, 32)


@pytest.mark.parametrize("name", LEARNED)
def test_a_step_waits_for_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no such device
    denoiser = build(name)
    with stub_device() as device:
        pair = TrainingPair(*(torch.rand(2, 1, 32, 32, device=DEVICE) for _ in range(2)))
        for module in denoiser.modules():
            for key, parameter in module._parameters.items():
                module._parameters[key] = parameter if parameter is None else nn.Parameter(OnDevice(parameter.detach()))
        denoiser.loss(pair, torch.Generator())  # tables are made and taken to the device once
        device.waits.clear()
        loss = denoiser.loss(pair, torch.Generator())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
    assert device.waits == []
    assert loss.device == DEVICE


@pytest.mark.parametrize("steps", [1, 3 * READ_EVERY, 3 * READ_EVERY + 5])
def test_losses_are_read_together(steps: int, tmp_path: Path) -> None:
    history, step = a_history(tmp_path, steps)
    with stub_device() as device:
        for number in range(steps):
            step(torch.tensor(float(number)).to(DEVICE, non_blocking=True))
        assert len(device.waits) == steps // READ_EVERY
        state = history.state_dict()  # a checkpoint lacks none
    assert [row[2] for row in state["rows"]] == [float(number) for number in range(steps)]
    assert len(device.waits) == -(-steps // READ_EVERY)


def test_a_loss_that_is_not_finite_is_named_with_its_step_and_slices(tmp_path: Path) -> None:
    history, step = a_history(tmp_path, 10)
    for number in range(4):
        step(torch.tensor(float("inf") if number == 2 else 1.0))
    with pytest.raises(InputError, match=r"the loss of SimpleNamespace is inf at step 3, on slices \[2\]"):
        history.state_dict()


def a_history(folder: Path, steps: int) -> tuple[History, Callable[[torch.Tensor], None]]:
    """A history and a function that does a step of a training with a given loss."""
    history = History(folder / "history.csv", lambda *_: None, Finite(folder / "last.ckpt"), lambda *_: None)
    data: Any = SimpleNamespace(epoch=0, latest=[])
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    trainer: Any = SimpleNamespace(datamodule=data, global_step=0, max_steps=steps, optimizers=[optimizer])
    module: Any = SimpleNamespace()
    history.on_train_start(trainer, module)

    def step(loss: torch.Tensor) -> None:
        data.latest = [trainer.global_step]
        history.on_train_batch_start(trainer, module, None, 0)
        trainer.global_step += 1
        history.on_train_batch_end(trainer, module, {"loss": loss}, None, 0)

    return history, step
