"""What tests of the data share: a data module of the phantom, and a trainer that has done some batches."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise

MODEL = AddNoise(Window(), Acquisition(photons=3000.0, filter_name="hann", views=60))
EVERYTHING = Split(np.array([0, 2, 3, 4, 5]), np.array([1]), np.array([1]))


@pytest.fixture
def module(phantom: SliceSet) -> Callable[..., PairedCTDataModule]:
    def make(strategy: str = "IPv2", **options: object) -> PairedCTDataModule:
        data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name(strategy), MODEL, **options)
        data.setup("fit")
        return data

    return make


def trainer_at(batches: int, training: bool = True, device: torch.device | str = "cpu") -> SimpleNamespace:
    total = SimpleNamespace(processed=batches)
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(total=total)))
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(training=training, fit_loop=loop, strategy=strategy)
