"""The lattice of strategies against the table of formulas, written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench.data.pair import Pair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.purification import MaskRule, Strategy, common_mask
from ipv2_bench.purification.strategies.purified import LATTICE, Purified

# The table: modules, training input, purified label, with C for CM, C1 for CM₁, A for A(n), W for W(u).
TABLE = {
    "IPv1": ("", lambda u, n, A, C, C1: C * n + (1 - C) * u, lambda u, n, W, C, C1: C * u + (1 - C) * n),
    "IPv1+1": ("1", lambda u, n, A, C, C1: C1 * n + (1 - C1) * u, lambda u, n, W, C, C1: C1 * u + (1 - C1) * n),
    "IPv1+2": ("2", lambda u, n, A, C, C1: C * A + (1 - C) * u, lambda u, n, W, C, C1: C * u + (1 - C) * n),
    "IPv1+3": ("3", lambda u, n, A, C, C1: C * n + (1 - C) * u, lambda u, n, W, C, C1: C * W + (1 - C) * n),
    "IPv1+1+2": ("1+2", lambda u, n, A, C, C1: C1 * A + (1 - C1) * u, lambda u, n, W, C, C1: C1 * u + (1 - C1) * n),
    "IPv1+1+3": ("1+3", lambda u, n, A, C, C1: C1 * n + (1 - C1) * u, lambda u, n, W, C, C1: C1 * W + (1 - C1) * n),
    "IPv1+2+3": ("2+3", lambda u, n, A, C, C1: C * A + (1 - C) * u, lambda u, n, W, C, C1: C * W + (1 - C) * n),
    "IPv2": ("1+2+3", lambda u, n, A, C, C1: C1 * A + (1 - C1) * u, lambda u, n, W, C, C1: C1 * W + (1 - C1) * n),
}


def add_noise(n: Tensor) -> Tensor:
    return n * 0.7 + 0.2


def remove_noise(u: Tensor) -> Tensor:
    return 0.5 * u + 0.1


def pair_with(slices: SliceSet, masks: np.ndarray | None) -> Pair:
    low, normal = (torch.from_numpy(np.array(x))[:, None] for x in (slices.low, slices.normal))
    mask = torch.zeros_like(low) if masks is None else torch.from_numpy(np.array(masks)).float()[:, None] / 255
    return Pair(low, normal, mask, torch.ones(len(low)), torch.arange(len(low)))


@pytest.fixture(scope="module")
def common(phantom: SliceSet) -> tuple[Tensor, Tensor]:
    """CM and CM₁ of every slice, [n, 1, N, N] in {0, 1}."""
    both = zip(phantom.low, phantom.normal, strict=True)
    masks_of_pairs = [[torch.from_numpy(common_mask(u, n, on)).double() / 255 for on in (False, True)] for u, n in both]
    plain, without_background = (torch.stack(masks)[:, None] for masks in zip(*masks_of_pairs, strict=True))
    assert not torch.equal(plain, without_background)
    return plain, without_background


@pytest.mark.parametrize("name", TABLE)
def test_training_pair_and_label_are_the_tables(name: str, phantom: SliceSet, common: tuple[Tensor, Tensor]) -> None:
    modules, formula, label = TABLE[name]
    strategy = Strategy.from_name(name)
    assert (strategy.name, strategy.modules) == (name, modules)
    pair = pair_with(phantom, strategy.training_masks(phantom))
    purified = strategy.training_pair(pair, add_noise)
    u, n = pair.low.double(), pair.normal.double()
    torch.testing.assert_close(purified.input.double(), formula(u, n, add_noise(n), *common), rtol=0, atol=1e-6)
    assert torch.equal(purified.target, pair.normal)
    pair = pair_with(phantom, strategy.label_masks(phantom))
    expected = label(u, n, remove_noise(u), *common)
    torch.testing.assert_close(strategy.test_label(pair, remove_noise).double(), expected, rtol=0, atol=1e-6)


def test_the_table_names_every_point_once() -> None:
    assert LATTICE.keys() == TABLE.keys()
    assert set(LATTICE.values()) == set(product((False, True), repeat=3))


def test_raw_and_simulated(phantom: SliceSet) -> None:
    pair = pair_with(phantom, None)
    raw, simulated = Strategy.from_name("raw"), Strategy.from_name("simulated")
    assert raw.training_masks(phantom) is None and simulated.training_masks(phantom) is None
    assert raw.training_pair(pair) == (pair.low, pair.normal)
    purified = simulated.training_pair(pair, add_noise)
    assert torch.equal(purified.input, add_noise(pair.normal)) and torch.equal(purified.target, pair.normal)
    assert (raw.name, raw.modules, raw.needs_noise) == ("raw", "", False)
    assert (simulated.name, simulated.modules, simulated.needs_noise) == ("simulated", "", True)
    for strategy in (raw, simulated):
        with pytest.raises(ValueError, match=f"{strategy.name} has no purified label"):
            strategy.test_label(pair, remove_noise)


def test_missing_modules_are_refused(phantom: SliceSet) -> None:
    pair = pair_with(phantom, None)
    for name in ("IPv2", "IPv1+2", "simulated"):
        with pytest.raises(ValueError, match="give add_noise"):
            Strategy.from_name(name).training_pair(pair)
    with pytest.raises(ValueError, match="give remove_noise"):
        Strategy.from_name("IPv1+3").test_label(pair)


def identity(name: str, **options: object) -> dict:
    return Strategy.from_name(name, **options).training_identity()


def test_module_3_does_not_shape_training() -> None:
    for without, with_3 in (("IPv1", "IPv1+3"), ("IPv1+1", "IPv1+1+3"), ("IPv1+2", "IPv1+2+3"), ("IPv1+1+2", "IPv2")):
        assert identity(without) == identity(with_3)
    four = [identity(name) for name in ("IPv1", "IPv1+1", "IPv1+2", "IPv1+1+2", "raw", "simulated")]
    assert all(a != b for i, a in enumerate(four) for b in four[:i])


@pytest.mark.parametrize("option", [{"background": "both_outside"}, {"order": "fill_then_or"}, {"seeds": "one_corner"}])
def test_module_1s_rule_shapes_training_only_with_module_1(option: dict) -> None:
    assert identity("IPv2", **option) != identity("IPv2")
    assert identity("IPv1+2", **option) == identity("IPv1+2")


def test_union_and_texture_shape_training_everywhere() -> None:
    for name in ("IPv1", "IPv2"):
        assert len({str(identity(name, **o)) for o in ({}, {"union": "uint8_wrap"}, {"texture_mix": 0.1})}) == 3


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("IPv3", {}, r"strategy 'IPv3' is unknown: did you mean IPv1\+3\? use one of IPv1, .*raw, .*simulated"),
        ("ipv2", {}, "'ipv2' is unknown.*IPv2"),
        ("purified", {}, "'purified' is unknown"),
        ("raw", {"background": "both_outside"}, "strategy raw has no options: take background out"),
        ("IPv2", {"fill": "all"}, "'fill' is unknown: use one of background, order, seeds, union, .*anatomy"),
        ("IPv2", {"background": "guess"}, "IPv2: background 'guess' is unknown: use one of flood_fill, both_outside"),
        ("IPv2", {"union": 3}, "union '3' is unknown: use one of logical, uint8_wrap"),
        ("IPv2", {"anatomy": "bones"}, "anatomy 'bones' is unknown: use lung or all"),
        ("IPv2", {"texture_mix": 1.5}, "texture_mix is 1.5: expected a share between 0 and 1"),
        ("IPv2", {"texture_mix": -0.1}, "texture_mix is -0.1"),
        ("IPv1", {"anatomy": "all"}, "needs module 1"),
        ("IPv2", {"texture_mix": "much"}, "texture_mix is much"),
    ],
)
def test_unknown_names_and_options_are_refused(name: str, options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Strategy.from_name(name, **options)


def test_names_tell_the_options_that_differ() -> None:
    assert Strategy.from_name("IPv2", background="flood_fill").name == "IPv2"
    assert Strategy.from_name("IPv2", background="both_outside").name == "IPv2 [both_outside]"
    assert Strategy.from_name("IPv1", union="uint8_wrap", texture_mix=0.1).name == "IPv1 [uint8_wrap, T=0.1]"
    assert Strategy.from_name("IPv2", anatomy="all").name == "IPv2 [all anatomy]"


def test_all_anatomy_comes_from_the_ndct_but_the_background(phantom: SliceSet, common: tuple[Tensor, Tensor]) -> None:
    strategy = Strategy.from_name("IPv2", anatomy="all")
    background = common[0] * (1 - common[1])  # what module 1 takes out of CM
    pair = pair_with(phantom, strategy.training_masks(phantom))
    purified = strategy.training_pair(pair, add_noise).input.double()
    expected = background * pair.low + (1 - background) * add_noise(pair.normal)
    torch.testing.assert_close(purified, expected.double(), rtol=0, atol=1e-6)
    assert 0.1 < background.mean() < 0.9
    # The label is the plain one.
    np.testing.assert_array_equal(strategy.label_masks(phantom)[:, None], 255 * common[1].numpy())


@pytest.mark.parametrize("name", ["IPv1", "IPv2"])
def test_texture_mix_goes_into_the_kept_uldct_alone(name: str, phantom: SliceSet) -> None:
    strategy = Strategy.from_name(name, texture_mix=0.25)
    pair = pair_with(phantom, strategy.training_masks(phantom))
    x = add_noise(pair.normal) if name == "IPv2" else pair.normal
    kept = 0.75 * pair.low + 0.25 * pair.normal
    expected = pair.mask * x + (1 - pair.mask) * kept
    torch.testing.assert_close(strategy.training_pair(pair, add_noise).input, expected, rtol=0, atol=1e-6)


def test_wrapped_union_weighs_254(phantom: SliceSet) -> None:
    strategy = Strategy.from_name("IPv1", union="uint8_wrap")
    pair = pair_with(phantom, strategy.training_masks(phantom))
    assert pair.mask.unique().tolist() == pytest.approx([0, 254 / 255, 1])
    purified = strategy.training_pair(pair).input
    where = (pair.mask > 0) & (pair.mask < 1)
    torch.testing.assert_close(purified[where], (254 * pair.normal[where] + pair.low[where]) / 255, rtol=0, atol=1e-6)


def test_masks_of_different_rules_are_kept_apart_on_disk(phantom: SliceSet) -> None:
    rules = [MaskRule(), MaskRule(background="both_outside")]
    masks = [Purified(remove_background=True, rule=rule).label_masks(phantom) for rule in rules]
    assert (masks[0] != masks[1]).any()
    assert (masks[0] == Purified(remove_background=True, rule=rules[0]).label_masks(phantom)).all()
