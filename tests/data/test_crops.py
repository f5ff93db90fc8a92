"""Crops are random squares of purified slices, drawn from seed, batch and slice alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Crops, TrainingPair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy
from tests.data.conftest import EVERYTHING, MODEL, trainer_at


def places(count: int = 3, size: int = 8) -> TrainingPair:
    """Slices whose pixels say where they are; the target holds the negative."""
    numbers = torch.arange(count * size * size, dtype=torch.float32).reshape(count, 1, size, size)
    return TrainingPair(torch.cat([numbers, numbers + 0.5], dim=1), -numbers)


def generators(count: int, *key: int | str) -> list[torch.Generator]:
    return [torch_generator(*key, i) for i in range(count)]


def test_input_and_target_are_cut_at_the_same_place_slice_after_slice() -> None:
    pair = places()
    cut = Crops(3, per_slice=4, mirror=True).cut(pair, generators(3, "a"))
    assert cut.input.shape == (12, 2, 3, 3) and cut.target.shape == (12, 1, 3, 3)
    assert torch.equal(cut.input[:, :1], -cut.target) and torch.equal(cut.input[:, 1:], cut.input[:, :1] + 0.5)
    steps = cut.input[:, 0, :, 1:] - cut.input[:, 0, :, :-1]
    assert (steps.abs() == 1).all() and {int(s) for s in steps.flatten(1)[:, 0]} == {1, -1}  # some are mirrored
    assert (cut.input[:, 0, 1:] - cut.input[:, 0, :-1] == 8).all()  # top and bottom are not exchanged
    assert [int(x) // 64 for x in cut.input[:, 0, 0, 0]] == [0] * 4 + [1] * 4 + [2] * 4


def test_every_place_is_drawn_and_as_often_as_others() -> None:
    corners = []
    for k in range(300):
        cut = Crops(6).cut(places(1), generators(1, "draw", k))
        corners.append(int(cut.input[0, 0, 0, 0]))
    assert sorted(set(corners)) == [row * 8 + column for row in range(3) for column in range(3)]
    assert np.bincount(corners)[sorted(set(corners))].min() > 15


def test_whole_slices_stay_or_are_mirrored_as_wholes() -> None:
    pair = places()
    assert Crops().are_whole and not Crops(4).are_whole and not Crops(mirror=True).are_whole
    for k in range(8):
        cut = Crops(mirror=True).cut(pair, generators(3, k))
        for one, whole in zip(cut.input, pair.input, strict=True):
            assert torch.equal(one, whole) or torch.equal(one, whole.flip(-1))


def inputs_at(data: PairedCTDataModule, batch: int, training: bool = True) -> torch.Tensor:
    data.trainer = trainer_at(batch, training)
    loader = data.train_dataloader() if training else data.val_dataloader()
    return data.on_after_batch_transfer(next(iter(loader)), 0).input


@pytest.mark.parametrize("strategy", ["IPv1", "IPv2"])
def test_the_slice_is_purified_whole_and_then_cut(module: Callable[..., PairedCTDataModule], strategy: str) -> None:
    whole = inputs_at(module(strategy, batch_size=1), 3)[0, 0]
    crops = inputs_at(module(strategy, batch_size=1, crops=Crops(16, per_slice=3)), 3)[:, 0]
    windows = whole.unfold(0, 16, 1).unfold(1, 16, 1)
    for crop in crops:
        assert (windows == crop).all(-1).all(-1).any()


def test_crops_depend_on_the_batch_and_on_nothing_else(module: Callable[..., PairedCTDataModule]) -> None:
    crops = Crops(16, per_slice=2, mirror=True)
    first, again, workers = (inputs_at(module(crops=crops, workers=w), 4) for w in (0, 0, 1))
    assert first.shape == (4, 1, 16, 16)
    assert torch.equal(first, again) and torch.equal(first, workers)
    one, other = (module("raw", crops=crops, batch_size=5) for _ in range(2))
    pair = places(5, 32)
    one.latest = other.latest = [0, 2, 3, 4, 5]
    one.trainer, other.trainer = trainer_at(1), trainer_at(2)
    assert not torch.equal(one._cut(pair, True).input, other._cut(pair, True).input)
    assert torch.equal(one._cut(pair, False).input, other._cut(pair, False).input)  # validation is always the same


def test_neighbours_are_cut_with_the_slice(phantom: SliceSet) -> None:
    ordered = replace(phantom, stack=tuple("aaabbb"))
    data = PairedCTDataModule(
        ordered, EVERYTHING, Strategy.from_name("IPv2"), MODEL, context=3, crops=Crops(16, per_slice=2)
    )
    data.setup("fit")
    assert inputs_at(data, 0).shape == (4, 3, 16, 16)


def test_crops_larger_than_slices_are_refused(phantom: SliceSet, module: Callable[..., PairedCTDataModule]) -> None:
    with pytest.raises(InputError, match=f"crops of 4096 pixels are larger than the slices of {phantom.size}"):
        module(crops=Crops(4096))


def test_noise_that_is_drawn_once_is_the_same_from_disk(phantom: SliceSet) -> None:
    once = replace(MODEL, redraw=False)
    data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("IPv2"), once)
    computed = data.purified(EVERYTHING.train)
    data.setup("fit")
    assert data.noisy is not None and data.integrals is None
    torch.testing.assert_close(data.purified(EVERYTHING.train).input, computed.input, rtol=0, atol=1e-5)
    assert MODEL.drawn(phantom) is None
