"""Trainings and predictions of a plain trainer, in one process and in two: nothing is done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch

from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("one_thread")

DISTRIBUTED = """
import json, sys
import lightning as L, numpy as np, torch
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import open_slices
from ipv2_bench.data.split import Split
from ipv2_bench.denoisers.iterative.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.ffm import FrequencyFlowMatching
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.one_pass.du_gan import DUGAN
from ipv2_bench.purification import Strategy
from pathlib import Path


class Recorder(L.Callback):
    def __init__(self):
        self.train, self.validated, self.predicted = [], [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.train.append(trainer.datamodule.latest)

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        self.validated += trainer.datamodule.latest

    def on_predict_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        assert outputs[1].shape[1:] == (1, 128, 128)
        self.predicted += outputs[0].tolist()


if __name__ == "__main__":
    folder, out, (name, strategy) = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    split = Split(np.array([0, 1, 2, 3]), np.array([1, 4, 5]), np.array([0, 2, 3, 4, 5]))
    data = PairedCTDataModule(open_slices(folder), split, Strategy.from_name(strategy), batch_size=1, batches=2)
    torch.manual_seed(0)
    classes = {"fm": FlowMatching, "ffm": FrequencyFlowMatching, "cold_diffusion": ColdDiffusion}
    if name == "corediff":  # of two steps, so that the last, which has no modulation, is drawn
        denoiser = CoreDiff(width=8, modulator=4, steps=2, lr=1e-2, ema_start=1, ema_every=1)
    elif name == "du_gan":
        denoiser = DUGAN(widths=(8, 16), critic_width=4, critic_levels=2, cutmix_warmup=1, lr=1e-2)
    else:
        denoiser = classes[name](widths=(8, 16), steps=1, lr=1e-2)
    denoiser.correction = data.strategy.correction()
    recorder = Recorder()
    trainer = L.Trainer(
        max_steps=4 if name == "corediff" else 2,
        accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[recorder],
        use_distributed_sampler=False, val_check_interval=2, check_val_every_n_epoch=None, num_sanity_val_steps=0,
    )
    trainer.fit(denoiser, data)
    trainer.predict(denoiser, data, return_predictions=False)
    total = float(sum(p.detach().double().sum() for p in denoiser.parameters()))
    record = {"train": recorder.train, "validated": recorder.validated, "predicted": recorder.predicted, "weights": total}
    (out / f"rank{trainer.global_rank}.json").write_text(json.dumps(record))
"""


def distributed(phantom: SliceSet, tmp_path: Path, name: str, strategy: str) -> subprocess.CompletedProcess:
    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED)
    return subprocess.run(
        [sys.executable, str(script), str(phantom.folder), str(tmp_path), name, strategy],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1"},
    )


CASES = [(name, "IPv1") for name in ("fm", "ffm", "cold_diffusion", "corediff", "du_gan")] + [("fm", "correction")]


@pytest.mark.parametrize(("name", "strategy"), CASES)
def test_two_processes_share_batches_and_slices(name: str, strategy: str, phantom: SliceSet, tmp_path: Path) -> None:
    done = distributed(phantom, tmp_path, name, strategy)
    assert done.returncode == 0, done.stderr[-3000:]
    records = [json.loads((tmp_path / f"rank{r}.json").read_text()) for r in (0, 1)]
    # Two batches of each process are the four of one epoch, each slice once.
    assert sorted(i for t in records for batch in t["train"][:2] for i in batch) == [0, 1, 2, 3]
    validations = 2 if name == "corediff" else 1
    assert sorted(records[0]["validated"] + records[1]["validated"]) == sorted([1, 4, 5] * validations)
    assert sorted(records[0]["predicted"] + records[1]["predicted"]) == [0, 2, 3, 4, 5]
    assert records[0]["weights"] == records[1]["weights"]


def among_two(phantom: SliceSet, lightnings_sampler: bool) -> PairedCTDataModule:
    """Data of four training slices, one for validation and one for tests, in the first of two processes."""
    split = Split(np.array([0, 1, 2, 3]), np.array([5]), np.array([4]))
    data = PairedCTDataModule(phantom, split, Strategy.from_name("IPv1"), batch_size=1)
    connector = SimpleNamespace(use_distributed_sampler=lightnings_sampler)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, _accelerator_connector=connector)  # type: ignore[assignment]
    return data


def test_a_sampler_of_lightnings_own_is_refused(phantom: SliceSet) -> None:
    data = among_two(phantom, lightnings_sampler=True)
    with pytest.raises(InputError, match="use_distributed_sampler=False"):
        data.train_dataloader()


def test_fewer_slices_than_processes_are_refused(phantom: SliceSet) -> None:
    data = among_two(phantom, lightnings_sampler=False)
    with pytest.raises(InputError, match="1 slices cannot be dealt out to 2 processes: use at most 1 devices"):
        data.val_dataloader()


def test_predictions_of_a_plain_trainer(phantom: SliceSet) -> None:
    split = Split(np.array([0, 1]), np.zeros(0, int), np.array([3, 5, 4]))
    data = PairedCTDataModule(phantom, split, Strategy.from_name("IPv1"), batch_size=2)
    denoiser = FlowMatching(widths=(8, 16), steps=2)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    predictions = L.Trainer(accelerator="cpu", devices=1, **quiet).predict(denoiser, data)
    places, images = (torch.cat(parts) for parts in zip(*predictions, strict=True))
    assert places.tolist() == [3, 5, 4]
    expected = denoiser.restore(torch.from_numpy(phantom.low[[3, 5, 4]])[:, None])
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)
