"""Random draws of a slice depend on seed, epoch and slice, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Pair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.training_order import TrainingOrder
from ipv2_bench.errors import InputError
from ipv2_bench.physics.scanner import line_integrals
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy
from tests.data.conftest import EVERYTHING, MODEL, trainer_at


def an_epoch(module: PairedCTDataModule, epoch: int) -> dict[int, Tensor]:
    """Training input of each slice of an epoch, in the epoch's order."""
    loader = module.train_dataloader()
    module.trainer = trainer_at(epoch * len(loader))
    inputs = {}
    for batch in loader:
        pair = module.on_after_batch_transfer(batch, 0)
        inputs |= dict(zip(batch.slice_index.tolist(), pair.input, strict=True))
    return inputs


@pytest.mark.parametrize(("batch_size", "workers"), [(3, 0), (2, 2)])
def test_a_slices_draw_depends_on_neither_batch_nor_workers(module: Callable, batch_size: int, workers: int) -> None:
    one = an_epoch(module(batch_size=1), epoch=4)
    assert sorted(one) == EVERYTHING.train.tolist()
    other = an_epoch(module(batch_size=batch_size, workers=workers), epoch=4)
    assert len(other) == len(one) // batch_size * batch_size  # the incomplete batch is left out
    for i, image in other.items():
        torch.testing.assert_close(image, one[i], rtol=0, atol=1e-6)


def test_an_epoch_repeats_exactly_and_another_differs(module: Callable) -> None:
    first, again, next_one = (an_epoch(module(batch_size=2), epoch) for epoch in (3, 3, 4))
    assert list(first) == list(again)
    assert all(torch.equal(first[i], again[i]) for i in first)
    assert list(first) != list(next_one)
    both = first.keys() & next_one.keys()
    assert both and all((first[i] - next_one[i]).abs().mean() > 1e-4 for i in both)
    other_seed = an_epoch(module(batch_size=2, seed=1), 3)
    assert all((first[i] - other_seed[i]).abs().mean() > 1e-4 for i in first.keys() & other_seed.keys())


def order(seed: int, done: int, batches: int = 13) -> list[int]:
    return list(TrainingOrder(40, 3, batches, seed, lambda: done))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert len(set(order(0, 0))) == 39 == len(TrainingOrder(40, 3, 13, 0, lambda: 0))
    assert order(0, 5 * 13) == order(0, 5 * 13)
    assert len({tuple(order(seed, epoch * 13)) for seed in (0, 1) for epoch in range(4)}) == 8


@pytest.mark.parametrize("done", [1, 12, 13, 14, 26, 39, 49])
def test_an_interrupted_order_continues_at_any_batch(done: int) -> None:
    whole = order(0, 0, batches=50)  # three passes and eleven batches
    assert whole == order(0, 0) + order(0, 13) + order(0, 26) + order(0, 39)[: 11 * 3]
    assert order(0, done, batches=50) == whole[done * 3 :]


@pytest.mark.parametrize("strategy", ["raw", "simulated", "IPv1", "IPv1+2", "IPv2"])
def test_batches_are_the_strategys_pairs_by_hand(module: Callable, phantom: SliceSet, strategy: str) -> None:
    data = module(strategy, batch_size=5, seed=7)
    batch = next(iter(data.train_dataloader()))
    index = batch.slice_index.numpy()
    assert sorted(index) == EVERYTHING.train.tolist()
    plan = Strategy.from_name(strategy)
    masks = plan.training_masks(phantom)
    low, normal = (torch.from_numpy(x[index])[:, None] for x in (phantom.low, phantom.normal))
    weights = torch.zeros_like(low) if masks is None else torch.from_numpy(masks[index]).float()[:, None] / 255
    mm = torch.from_numpy(phantom.pixel_mm[index]).float()
    hu = MODEL.window.hu(normal[:, 0])
    integrals = line_integrals(hu, mm, MODEL.acquisition) if plan.needs_noise else torch.zeros(len(index), 0)
    pair = Pair(low, normal, weights, mm, torch.from_numpy(index), integrals, torch.zeros(len(index), 0))
    for given, expected in zip(batch, pair, strict=True):
        assert given.dtype == expected.dtype and torch.equal(given, expected)
    generators = [torch_generator(7, "add noise", 2, int(i)) for i in index]
    expected = plan.training_pair(pair, lambda n: MODEL(n, mm, generators))
    purified = data.purify(batch, 2)
    torch.testing.assert_close(purified.input, expected.input, rtol=0, atol=1e-6)
    assert torch.equal(purified.target, normal)


def test_validation_always_draws_the_same_noise(module: Callable) -> None:
    data = module("IPv2")
    batch = next(iter(data.val_dataloader()))
    assert batch.slice_index.tolist() == [1]
    first, again = (data.on_after_batch_transfer(batch, 0) for _ in range(2))
    assert torch.equal(first.input, again.input)
    assert not torch.equal(first.input, data.purify(batch, 0).input)
    data.trainer = trainer_at(50, training=False)
    assert torch.equal(first.input, data.on_after_batch_transfer(batch, 0).input)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": -3}, {"batches": 0}, {"batches": -1}])
def test_batches_of_nothing_are_refused(module: Callable, options: dict[str, int]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"^{name} is {value}: expected at least 1$"):
        module(**options)


def test_module_2_without_its_model_is_refused(phantom: SliceSet) -> None:
    data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("IPv2"))
    data.setup("fit")
    with pytest.raises(ValueError, match="give add_noise"):
        data.purify(next(iter(data.train_dataloader())), 0)


def test_noise_that_is_drawn_once_is_the_same_at_every_epoch_and_for_every_seed(module: Callable) -> None:
    first, other = (module("simulated", seed=seed, batch_size=1) for seed in (0, 1))
    for data in (first, other):
        data.add_noise = replace(MODEL, redraw=False)
    expected = an_epoch(first, 3)
    for again in (an_epoch(first, 8), an_epoch(other, 8)):
        assert all(torch.equal(again[i], image) for i, image in expected.items())
    first.add_noise = MODEL
    assert not any(torch.equal(an_epoch(first, 8)[i], image) for i, image in expected.items())
