"""Objectives and samplers of the four against the formulas over the literal networks, in float64.

Nothing here calls the code under test but to get what is compared: ranges, schedules and blends are those of
``tests/literal/procedures.py``, which ``tests/parity`` holds to the numbers of the authors' code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.iterative.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.ffm import FrequencyFlowMatching
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.test_parity import random_weights
from tests.literal.corediff import LiteralCoreDiff
from tests.literal.names import parameters_like, with_weights_of
from tests.literal.networks import LiteralUNet
from tests.literal.procedures import (
    cold_diffusion_loss,
    cold_diffusion_sample,
    corediff_alphas,
    corediff_loss,
    corediff_states,
    cosine_weights,
    euler_states,
    linear_weights,
)
from tests.program import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTHS = (8, 16)
STEPS = 5
UNETS = {"fm": FlowMatching, "ffm": FrequencyFlowMatching, "cold_diffusion": ColdDiffusion}
NAMES = (*UNETS, "corediff")
WEIGHTS = {"linear": linear_weights, "cosine": cosine_weights}
OBJECTIVES: list[tuple[str, dict[str, Any]]] = [
    ("fm", {}),
    ("ffm", {}),
    *(("cold_diffusion", {"degradation": d}) for d in WEIGHTS),
    *(("corediff", {"modulate_stage_one": m}) for m in (False, True)),
]
SAMPLINGS: list[tuple[str, dict[str, Any]]] = [
    ("fm", {}),
    ("ffm", {}),
    *(("cold_diffusion", {"degradation": d, "end": e}) for d in WEIGHTS for e in ("fixed", "estimated")),
    ("corediff", {}),
]


def pair() -> TrainingPair:
    low, target = torch.rand(2, 2, 1, 16, 24, dtype=torch.float64, generator=torch_generator("pair")).unbind()
    return TrainingPair(low, target)


def both(name: str, options: dict[str, Any]) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A denoiser with random weights, and the literal network with the same ones."""
    denoiser: torch.nn.Module
    if name == "corediff":
        denoiser = CoreDiff(width=8, modulator=4, steps=STEPS, **options)
    else:
        denoiser = UNETS[name](widths=WIDTHS, steps=STEPS, dropout=0.0, **options)
    denoiser = denoiser.double().eval()
    random_weights(denoiser)
    with torch.no_grad():  # small outputs, so that no clamp hides them
        for p in denoiser.network.leave.parameters():
            p.mul_(0.2)
    literal = (
        LiteralCoreDiff(8, modulator=4) if name == "corediff" else LiteralUNet(1, WIDTHS, name == "ffm", dropout=0.0)
    )
    return denoiser, with_weights_of(denoiser.network, literal)


def column(t: Tensor) -> Tensor:
    return t.double()[:, None, None, None]


def fm_loss(v: Callable, low: Tensor, normal: Tensor, generator: torch.Generator) -> Tensor:
    """E‖v(x_t, t) − (x_1 − x_0)‖² (arXiv 2210.02747, 22–23; σ_min = 0), images in [−1, 1]."""
    t = torch.rand(2, generator=generator, dtype=torch.float64)
    x0, x1 = 2 * low - 1, 2 * normal - 1
    return ((v(x0 + column(t) * (x1 - x0), t) - (x1 - x0)) ** 2).sum() / x0.numel()


def cold_loss(r: Callable, low: Tensor, normal: Tensor, generator: torch.Generator, degradation: str) -> Tensor:
    """E‖R(D(x_0, t), t) − x_0‖₁ (arXiv 2208.09392, 1) of images in [−1, 1], each with a t of its own."""
    steps = torch.randint(0, STEPS, (2,), generator=generator).tolist()
    weights, clean, degraded = WEIGHTS[degradation](STEPS), 2 * normal - 1, 2 * low - 1
    each = [cold_diffusion_loss(r, clean[i : i + 1], degraded[i : i + 1], weights, t) for i, t in enumerate(steps)]
    return torch.stack(each).mean()


def core_loss(r: Callable, low: Tensor, normal: Tensor, generator: torch.Generator, modulate_stage_one: bool) -> Tensor:
    """Mean of both stages (arXiv 2304.01814, 11), images in [0, 1]; one t for the batch."""
    t = int(torch.randint(0, STEPS, (1,), generator=generator))
    return corediff_loss(r, normal, low, corediff_alphas(STEPS), t, only_adjust_two_step=not modulate_stage_one)


LOSSES = {"fm": fm_loss, "ffm": fm_loss, "cold_diffusion": cold_loss, "corediff": core_loss}


@pytest.mark.parametrize(("name", "options"), OBJECTIVES)
def test_objective_and_its_gradients(name: str, options: dict[str, Any]) -> None:
    denoiser, literal = both(name, options)
    batch = pair()
    names = [n for n, _ in denoiser.network.named_parameters()]
    for draw in range(8):
        ours = denoiser.loss(batch, torch_generator("draw", draw))
        expected = LOSSES[name](literal, *batch, torch_generator("draw", draw), **options)
        assert float(expected.detach()) > 0.01
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10 * float(expected.detach()))
        own = torch.autograd.grad(ours, [*denoiser.network.parameters()], allow_unused=True)
        theirs = torch.autograd.grad(expected, parameters_like(denoiser.network, literal), allow_unused=True)
        for n, a, b in zip(names, own, theirs, strict=True):
            assert (a is None) == (b is None), n
            if a is not None:
                assert float((a - b).abs().max()) <= 1e-8 * max(float(b.abs().max()), 1e-3), n


@pytest.mark.parametrize(("name", "expected"), [("cold_diffusion", {0, 1, 2, 3, 4}), ("corediff", {0, 1, 2, 3, 4})])
def test_every_step_is_drawn(name: str, expected: set[int]) -> None:
    denoiser = both(name, {})[0]
    seen: list[int] = []
    denoiser.network.register_forward_pre_hook(lambda _, given: seen.append(int(given[1][0])))
    with torch.no_grad():
        for draw in range(60):
            denoiser.loss(pair(), torch_generator("draw", draw))
    assert set(seen) == expected


def fm_sample(v: Callable, low: Tensor) -> Tensor:
    """Explicit Euler from the uLDCT, images in [−1, 1]."""
    *_, last = euler_states(v, 2 * low - 1, STEPS)
    return (last + 1) / 2


def cold_sample(r: Callable, low: Tensor, degradation: str, end: str) -> Tensor:
    """Algorithm 2 of arXiv 2208.09392, images in [−1, 1]."""
    return (cold_diffusion_sample(r, 2 * low - 1, WEIGHTS[degradation](STEPS), end == "estimated")[0] + 1) / 2


def core_sample(r: Callable, low: Tensor) -> Tensor:
    """Algorithm 2 of arXiv 2304.01814 with x_T estimated anew from x_t, as the public code has it."""
    *_, last = corediff_states(r, low, corediff_alphas(STEPS))
    return last.clamp(0, 1)


SAMPLERS = {"fm": fm_sample, "ffm": fm_sample, "cold_diffusion": cold_sample, "corediff": core_sample}


@pytest.mark.parametrize(("name", "options"), SAMPLINGS)
def test_sampler(name: str, options: dict[str, Any]) -> None:
    denoiser, literal = both(name, options)
    low = pair().input
    with torch.no_grad():
        sampled, expected = denoiser.denoise(low), SAMPLERS[name](literal, low, **options)
    assert float((sampled - low).abs().mean()) > 0.02 and float(((sampled > 0) & (sampled < 1)).double().mean()) > 0.2
    torch.testing.assert_close(sampled, expected, rtol=0, atol=1e-10)


PUBLISHED: dict[str, dict[str, Any]] = {
    # IPv2 §4.2.1 has the steps; the rest is of FFM's paper and public code.
    "ffm": {
        "steps": 10, "solver": "euler", "criterion": "l2", "widths": (64, 128, 256, 512), "dropout": 0.1, "time_scale": 1.0,
        "channels": 3, "padding": "right_below", "zero_last": False, "unshuffle": 1, "lr": 1e-4, "schedule": "constant",
        "warmup": 0, "ema_decay": 0.0,
    },
    # IPv2 §4.2.1 has the steps; the rest is of the public two-image variant (demixing), whose U-Net is another.
    "cold_diffusion": {
        "steps": 50, "criterion": "l1", "degradation": "cosine", "end": "estimated", "time_scale": 1.0, "residual": False,
        "lr": 2e-5, "schedule": "constant", "warmup": 0, "ema_decay": 0.995, "ema_every": 10, "ema_start": 2000,
    },
    # The paper, its public code, and the training scripts, which set modulation of stage 1 off.
    "corediff": {
        "steps": 10, "criterion": "l2", "width": 64, "modulator": 32, "context": 3, "alpha": "published",
        "modulate_stage_one": False, "lr": 2e-4, "schedule": "constant", "warmup": 0, "ema_decay": 0.995, "ema_every": 10,
        "ema_start": 2000,
    },
}  # fmt: skip
PUBLISHED["fm"] = PUBLISHED["ffm"]

OURS: dict[str, dict[str, Any]] = {
    "fm": {"channels": 1},
    "ffm": {"channels": 1},
    "cold_diffusion": {
        "degradation": "linear", "end": "fixed", "lr": 1e-4, "ema_decay": 0.0, "ema_every": 1, "ema_start": 0,
    },
    "corediff": {"context": 1},
}  # fmt: skip
"""Defaults that are not the published values; ``docs/pages/published.md`` has a row for each."""


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_the_published_values_but_where_the_docs_say_otherwise(name: str) -> None:
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)
    defaults = {option: known.default for option, known in registry.options(cls, Denoiser).items()}
    published = PUBLISHED[name]
    assert published.keys() <= defaults.keys()
    assert {k: defaults[k] for k in published if defaults[k] != published[k]} == OURS[name]
    heading = {"fm": "Flow Matching and FFM", "ffm": "Flow Matching and FFM", "cold_diffusion": "Cold Diffusion"}
    page = (ROOT / "docs/pages/published.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading.get(name, 'CoreDiff')}$(.*?)(?=^## |\Z)", page, re.M | re.S)
    named = {option for row in re.findall(r"^\|.*\|([^|]*)\|$", section, re.M) for option in re.findall(r"`(\w+)`", row)}
    assert OURS[name].keys() <= named


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_what_a_denoiser_is_built_with(name: str) -> None:
    with torch.device("meta"):
        denoiser = CoreDiff() if name == "corediff" else UNETS[name]()
    expected = {**PUBLISHED[name], **OURS[name]}
    assert denoiser.error is {"l1": torch.nn.functional.l1_loss, "l2": torch.nn.functional.mse_loss}[expected["criterion"]]
    assert denoiser.steps == denoiser.network_calls == expected["steps"]
    training = (denoiser.lr, denoiser.schedule, denoiser.warmup, denoiser.ema_decay)
    assert training == tuple(expected[k] for k in ("lr", "schedule", "warmup", "ema_decay"))
    if name == "corediff":
        assert denoiser.modulate_stage_one is False and denoiser.context == 1
        torch.testing.assert_close(denoiser.alphas(10).double(), corediff_alphas(10), rtol=0, atol=1e-7)
    else:
        drops = [m.p for m in denoiser.modules() if isinstance(m, torch.nn.Dropout)]
        assert drops == [0.1] * len(drops) and len(drops) == 14 and denoiser.channels == 1
        assert denoiser.network.time[0].scale == 1.0


def test_the_paper_s_protocol_has_one_rate_and_the_published_ones_beside_it() -> None:
    config = load_config("paper")
    assert config.train.lr == 1e-4 and config.train.schedule == "constant"
    averaging = ("lr", "ema_decay", "ema_every", "ema_start")
    own = config.denoisers["cold_diffusion_own"]
    assert {k: own[k] for k in averaging} == {k: PUBLISHED["cold_diffusion"][k] for k in averaging}
    assert config.denoisers["corediff_own"]["lr"] == PUBLISHED["corediff"]["lr"]
    assert PUBLISHED["fm"]["lr"] == PUBLISHED["ffm"]["lr"] == config.train.lr


def test_sizes_are_those_of_the_public_code() -> None:
    """39.5 M and 4.83 M (FFM with the 3 channels of its public code, CoreDiff with its 3 slices)."""
    with torch.device("meta"):
        denoisers = [FrequencyFlowMatching(channels=3), FlowMatching(channels=3), CoreDiff(context=3), CoreDiff()]
    assert [sum(p.numel() for p in d.parameters()) for d in denoisers] == [39512099, 38651587, 4825953, 4824801]
