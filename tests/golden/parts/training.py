"""Training of a cell for a few steps, and the batches that it is trained on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ipv2_bench.benchmark.cells.denoise import denoise_test_set
from ipv2_bench.benchmark.cells.denoisers import DenoiserChoice
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.benchmark.prepared import Fold
from ipv2_bench.benchmark.settings import MetricsSettings, RunSettings, TrainSettings
from ipv2_bench.data import datamodule, training_order
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Pair, PairDataset
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.files import read_csv
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise
from tests.golden.chests import PIXEL_MM, SLICES, chests
from tests.golden.golden import Part, numbers_of_defaults, summary

TRAINING = "ipv2_bench.benchmark.cells.training.train.VERSION"
BATCHES = "ipv2_bench.data.datamodule.VERSION"
OTHERS = (
    "ipv2_bench.denoisers.VERSION",
    "ipv2_bench.denoisers.one_pass.red_cnn.REDCNN.version",
    "ipv2_bench.purification.VERSION",
    "ipv2_bench.physics.VERSION",
)
SPLIT = Split(np.array([0, 1, 2, 3, 4]), np.array([5]), np.array([6, 7]))
NOISE = AddNoise(Window(), Acquisition(4000.0, views=24, filter_name="cosine", dose=0.1, inserted=True))


@contextmanager
def slice_set() -> Iterator[SliceSet]:
    """The fixed image set at half of its size as slices of two stacks, in a folder for this time."""
    low, normal, truth, nodules = (
        x.reshape(SLICES, 48, 2, 48, 2).mean((2, 4)).astype(np.float32)
        for x in (chests().low, chests().normal, chests().truth, chests().nodules)
    )
    patient = tuple(f"patient {i // 4}" for i in range(SLICES))
    mm, keys = np.full(SLICES, 2 * PIXEL_MM), tuple(map(str, range(SLICES)))
    with tempfile.TemporaryDirectory() as folder:
        yield SliceSet(Path(folder), low, normal, truth, nodules, patient, mm, "0" * 64, patient, keys)


def _trained(slices: SliceSet, settings: TrainSettings, strategy: str) -> dict[str, Any]:
    """Weights, history and output of a small cell."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"width": 6, "lr": 1e-3, "schedule": "cosine"}
        spec = CellSpec(
            cell_id="golden",
            folder=Path(folder),
            denoiser=DenoiserChoice(key="red_cnn", registered="red_cnn", options=options),
            strategy=Strategy.from_name(strategy),
            seed=3,
            slices=slices,
            split=SPLIT,
            folds=(Fold(SPLIT, NOISE),),
            window=Window(),
            train=settings,
            run=RunSettings(),
            metrics=MetricsSettings(),
            accelerator="cpu",
            threads=1,
            measuring="",
        )
        denoiser = train(spec, lambda *_: None)
        history = read_csv(spec.folder / "history.csv")
        weights = [w.detach().double() for w in denoiser.parameters()]
        restored = denoise_test_set(spec, denoiser, lambda *_: None).images
    return {
        "weights": [w.norm().item() for w in weights],
        "loss": [float(row["loss"]) for row in history],
        "learning rate": [float(row["lr"]) for row in history],
        "validation": [float(row["val_loss"]) for row in history if row["val_loss"]],
        "epochs": [int(row["epoch"]) for row in history],
        "restored": summary(restored),
    }


def _training() -> dict[str, Any]:
    numbers = numbers_of_defaults({name: field.default for name, field in TrainSettings.model_fields.items()})
    with slice_set() as slices:
        for name, settings, strategy in (
            ("steps", TrainSettings(steps=5, batch_size=2, clip=0.5), "IPv1+1"),
            ("epochs", TrainSettings(epochs=3, batch_size=1, accumulate=2), "IPv2"),
        ):
            numbers |= {f"{k}, {name}": v for k, v in _trained(slices, settings, strategy).items()}
    return numbers


def _batches() -> dict[str, Any]:
    """Order, pairs and noise of two epochs, and of validation, with and without neighbours."""
    numbers: dict[str, Any] = {}
    with slice_set() as slices:
        for context in (1, 3):
            module = PairedCTDataModule(slices, SPLIT, Strategy.from_name("IPv2"), NOISE, seed=2, context=context)
            module.setup("fit")
            for epoch in range(2):
                batch = _at_epoch(module, epoch)
                pair = module.purify(batch, epoch)
                name = f"context {context}, epoch {epoch}"
                numbers |= {f"slices, {name}": batch.slice_index, f"pixel in mm, {name}": batch.pixel_mm}
                numbers |= {f"input, {name}": summary(pair.input), f"target, {name}": summary(pair.target)}
            (validation,) = module.val_dataloader()
            numbers[f"validation, context {context}"] = summary(module.on_after_batch_transfer(validation, 0)[0])
        numbers["order"] = list(training_order.TrainingOrder(7, 2, 9, seed=4, done=lambda: 2))
    return numbers


def _at_epoch(module: PairedCTDataModule, epoch: int) -> Pair:
    """The first training batch of an epoch."""
    progress = SimpleNamespace(total=SimpleNamespace(processed=epoch * module.batches_per_epoch))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    module.trainer = SimpleNamespace(training=True, fit_loop=loop, predicting=False, strategy=strategy)  # type: ignore[assignment]
    batch = next(iter(module.train_dataloader()))
    module.trainer = None
    return batch


def _accumulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch more in every step."""
    import lightning as L

    original = L.Trainer
    monkeypatch.setattr(
        L,
        "Trainer",
        lambda **given: original(**{**given, "accumulate_grad_batches": given["accumulate_grad_batches"] + 1}),
    )


def _first_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    original = DenoiserChoice.build

    def larger(self: DenoiserChoice, seed: int) -> Any:
        denoiser = original(self, seed)
        with torch.no_grad():
            for weight in denoiser.parameters():
                weight.mul_(1.001)
        return denoiser

    monkeypatch.setattr(DenoiserChoice, "build", larger)


def _pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    original = PairDataset._pair
    monkeypatch.setattr(
        PairDataset, "_pair", lambda self, i: original(self, i)._replace(pixel_mm=1.001 * original(self, i).pixel_mm)
    )


def _target(monkeypatch: pytest.MonkeyPatch) -> None:
    original = PairedCTDataModule._purify

    def brighter(self: PairedCTDataModule, batch: Pair, epoch: int) -> Any:
        pair = original(self, batch, epoch)
        return pair._replace(target=1.001 * pair.target)

    monkeypatch.setattr(PairedCTDataModule, "_purify", brighter)


def _noise_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = datamodule.torch_generator
    monkeypatch.setattr(datamodule, "torch_generator", lambda *key, **rest: original(*key, 0, **rest))


def _order(monkeypatch: pytest.MonkeyPatch) -> None:
    original = training_order.derive_seed
    monkeypatch.setattr(training_order, "derive_seed", lambda *key: original(*key, 0))


PARTS = [
    # Weights are trained in float32, and Adam divides small gradients by themselves.
    Part(
        "training",
        TRAINING,
        _training,
        {"first weights": _first_weights, "accumulation": _accumulation},
        (BATCHES, *OTHERS),
        rtol=2e-4,
    ),
    Part(
        "training_batches",
        BATCHES,
        _batches,
        {"pixels": _pixels, "target": _target, "seed of the noise": _noise_seed, "order": _order},
        ("ipv2_bench.purification.VERSION", "ipv2_bench.physics.VERSION"),
    ),
]
