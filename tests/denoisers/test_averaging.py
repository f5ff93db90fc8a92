"""Averaged weights: what the average is, when it is used, and that a plain trainer gets it too."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.shared.averaging import Averaging
from ipv2_bench.purification import Strategy


class Witness(L.Callback):
    """One weight after every step, and during every validation."""

    def __init__(self) -> None:
        self.live: list[Tensor] = []
        self.validated: dict[int, Tensor] = {}

    def on_train_batch_end(self, trainer: L.Trainer, module: CoreDiff, *_: object) -> None:
        self.live.append(module.network.leave.weight.detach().clone())

    def on_validation_batch_end(self, trainer: L.Trainer, module: CoreDiff, *_: object) -> None:
        self.validated[trainer.global_step] = module.network.leave.weight.detach().clone()


def fit(phantom: SliceSet, folder: Path, steps: int, **options: object) -> tuple[CoreDiff, Witness, L.Trainer]:
    split = Split(np.array([0, 1]), np.array([2]), np.array([3]))
    data = PairedCTDataModule(phantom, split, Strategy.from_name("IPv1"), batch_size=1, batches=steps)
    torch.manual_seed(0)
    denoiser, witness = CoreDiff(width=8, modulator=4, steps=3, lr=1e-2, **options), Witness()
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=[witness],
    )
    trainer.fit(denoiser, data)
    trainer.save_checkpoint(folder / "end.ckpt")
    return denoiser, witness, trainer


def test_the_average_is_the_formula(phantom: SliceSet, tmp_path: Path) -> None:
    denoiser, witness, trainer = fit(phantom, tmp_path, 10, ema_decay=0.7, ema_every=2, ema_start=4)
    assert [type(c) for c in trainer.callbacks if isinstance(c, Averaging)] == [Averaging]
    live = [x.double() for x in witness.live]
    assert len(live) == 10 and not torch.equal(live[3], live[9])
    # Steps count from 0: the first average is the weights after step 4, then come steps 6 and 8.
    expected = {5: live[4]}
    expected[7] = 0.7 * expected[5] + 0.3 * live[6]
    expected[9] = 0.7 * expected[7] + 0.3 * live[8]
    torch.testing.assert_close(denoiser.network.leave.weight.detach().double(), expected[9], rtol=0, atol=1e-6)
    for step, weight in witness.validated.items():
        # Before the start validation sees the weights themselves, and not those before the first step.
        latest = max((s for s in expected if s <= step), default=None)
        true = live[step - 1] if latest is None else expected[latest]
        torch.testing.assert_close(weight.double(), true, rtol=0, atol=1e-6)
    assert {2, 4, 6, 8} <= set(witness.validated)


def test_a_training_that_ends_before_the_start_keeps_its_weights(phantom: SliceSet, tmp_path: Path) -> None:
    denoiser, witness, _ = fit(phantom, tmp_path, 3)
    assert denoiser.ema_start == 2000 and torch.equal(denoiser.network.leave.weight.detach(), witness.live[-1])
    held = torch.load(tmp_path / "end.ckpt", weights_only=True)["state_dict"]["network.leave.weight"]
    assert torch.equal(held, witness.live[-1])


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_without_a_decay_nothing_is_averaged(decay: float) -> None:
    callbacks = CoreDiff(width=8, ema_decay=decay).configure_callbacks()
    assert [type(c) for c in callbacks] == ([Averaging] if decay else [])
