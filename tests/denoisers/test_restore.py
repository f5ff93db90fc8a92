"""Denoising slices of any size: padding, dropout, input that cannot be used, and files of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.small import a_pair, trained

FM = {"widths": [8, 16], "steps": 2}


class Mirror(Denoiser):
    """Returns what it is given, and keeps it."""

    divisor = 8

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        return pair.input.mean()

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.given = low
        return low


@pytest.mark.parametrize("size", [(33, 47), (40, 40), (9, 500), (3, 11), (1, 1)])
def test_padding_is_cut_off_exactly(size: tuple[int, int]) -> None:
    low, mirror = torch.rand(2, 1, *size, generator=torch_generator(0)), Mirror()
    assert torch.equal(mirror.restore(low), low)
    missing = [-n % 8 for n in size]
    how = "reflect" if all(m < n for m, n in zip(missing, size, strict=True)) else "edge"
    padded = np.pad(low.numpy(), [(0, 0), (0, 0), *((0, m) for m in missing)], mode=how)
    assert np.array_equal(mirror.given.numpy(), padded)


def test_dropout_is_off_and_comes_back() -> None:
    denoiser = FlowMatching(widths=(8, 16), steps=2, dropout=0.5).train()
    with torch.no_grad():
        for p in denoiser.parameters():
            p.normal_(0, 0.1)
    denoiser.network.time.eval()  # a part that somebody froze
    before = [m.training for m in denoiser.modules()]
    low = a_pair().input
    assert torch.equal(denoiser.restore(low), denoiser.restore(low))
    assert [m.training for m in denoiser.modules()] == before and any(before) and not all(before)
    with pytest.raises(ValueError, match="got values"):
        denoiser.restore(low - 1000.0)
    assert [m.training for m in denoiser.modules()] == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: x[:0], r"got shape \(0, 1, 32, 32\)"),
        (lambda x: x[..., :0], r"got shape \(2, 1, 32, 0\)"),
        (lambda x: x.double(), r"torch.float64: expected torch.float32"),
        (lambda x: (x * 255).byte(), r"torch.uint8: expected torch.float32"),
        (lambda x: x * float("nan"), r"values from nan to nan: expected \[0, 1\]"),
        (lambda x: x.index_fill(0, torch.tensor([1]), float("inf")), r"to inf: expected \[0, 1\]"),
        (lambda x: 1400 * x - 1000, r"expected \[0, 1\] of the HU window"),
    ],
)
def test_slices_that_cannot_be_denoised_are_refused(spoil, said: str) -> None:
    for denoiser in (trained("corediff")[0], trained("fm")[0]):
        with pytest.raises(ValueError, match=said):
            denoiser.restore(spoil(a_pair().input))


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("fm", "steps", 2.5, "steps is 2.5: expected a whole number, such as 10"),
        ("fm", "steps", "three", "steps is 'three': expected a whole number"),
        ("fm", "widths", 8, r"widths is 8: expected a list of such numbers, such as \(64, 128, 256, 512\)"),
        ("fm", "dropout", float("nan"), "dropout is nan: expected a finite number"),
        ("fm", "dropout", 1.0, "dropout is 1.0"),
        ("fm", "time_scale", "fast", "time_scale is 'fast': expected a finite number"),
        ("fm", "lr", float("inf"), "lr is inf"),
        ("corediff", "width", -8, "width is -8 and modulator 32: expected at least 1"),
        ("corediff", "modulator", 0, "width is 64 and modulator 0"),
        ("corediff", "ema_every", 2.5, "ema_every is 2.5: expected a whole number"),
        ("corediff", "modulate_stage_one", "false", "modulate_stage_one is 'false': expected true or false"),
        ("cold_diffusion", "residual", "no", "residual is 'no': expected true or false"),
        ("fm", "solver", 3, "solver is 3: expected a word"),
    ],
)
def test_options_of_the_wrong_type_are_refused_by_name(name: str, option: str, value: object, said: str) -> None:
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)
    with pytest.raises(InputError, match=f"denoiser {name}: {said}"):
        registry.build(cls, Denoiser, {option: value}, f"denoiser {name}")
