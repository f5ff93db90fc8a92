"""Objectives and samplers of the four against the papers' formulas, written out in float64 over the literal networks.

Nothing here calls the code under test but to get what is compared: ranges, schedules and blends are written out once more.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.corediff import CoreDiff
from ipv2_bench.denoisers.ffm import FrequencyFlowMatching
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.test_parity import independent_alpha, leaves, random_weights
from tests.literal.networks import LiteralCoreDiffUNet, LiteralUNet

WIDTHS = (8, 16)
STEPS = 5
UNETS = {"fm": FlowMatching, "ffm": FrequencyFlowMatching, "cold_diffusion": ColdDiffusion}
NAMES = (*UNETS, "corediff")


def pair() -> TrainingPair:
    low, target = torch.rand(2, 2, 1, 16, 24, dtype=torch.float64, generator=torch_generator("pair")).unbind()
    return TrainingPair(low, target)


def both(name: str, **options: object) -> tuple[torch.nn.Module, Callable[..., Tensor], dict[str, Tensor]]:
    """A denoiser with random weights, the literal network, and its own leaves of the same weights."""
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
    weights = leaves(denoiser.network)
    literal = LiteralCoreDiffUNet(weights) if name == "corediff" else LiteralUNet(weights, WIDTHS, name == "ffm")
    return denoiser, literal, weights


def column(t: Tensor) -> Tensor:
    return t.double()[:, None, None, None]


def fm_loss(v: Callable, low: Tensor, normal: Tensor, generator: torch.Generator) -> Tensor:
    """E‖v(x_t, t) − (x_1 − x_0)‖² (arXiv 2210.02747, 22–23; σ_min = 0), images in [−1, 1]."""
    t = torch.rand(2, generator=generator, dtype=torch.float64)
    x0, x1 = 2 * low - 1, 2 * normal - 1
    return ((v(x0 + column(t) * (x1 - x0), t) - (x1 - x0)) ** 2).sum() / x0.numel()


def cold_loss(r: Callable, low: Tensor, normal: Tensor, generator: torch.Generator) -> Tensor:
    """E‖R(D(x_0, t), t) − x_0‖₁ (arXiv 2208.09392, 1) with D the blend with the uLDCT by t/T."""
    t = torch.randint(1, STEPS + 1, (2,), generator=generator)
    x0, end = 2 * normal - 1, 2 * low - 1
    return (r(x0 - column(t) / STEPS * (x0 - end), t) - x0).abs().sum() / x0.numel()


def core_loss(r: Callable, low: Tensor, normal: Tensor, generator: torch.Generator) -> Tensor:
    """Mean of both stages (arXiv 2304.01814, 11); the second starts from the first's estimate, one step earlier."""
    alpha = independent_alpha(STEPS)
    t = int(torch.randint(0, STEPS, (1,), generator=generator))
    at = torch.tensor([t, t])
    first = r(low + alpha[t] * (normal - low), at, None, low)
    error = ((first - normal) ** 2).sum() / normal.numel()
    if t == 0:
        return error
    second = r(low + alpha[t - 1] * (first - low), at - 1, first, low)
    return (error + ((second - normal) ** 2).sum() / normal.numel()) / 2


LOSSES = {"fm": fm_loss, "ffm": fm_loss, "cold_diffusion": cold_loss, "corediff": core_loss}


@pytest.mark.parametrize("name", NAMES)
def test_objective_and_its_gradients(name: str) -> None:
    denoiser, literal, weights = both(name)
    batch = pair()
    names = [n for n, _ in denoiser.network.named_parameters()]
    for draw in range(8):
        ours = denoiser.loss(batch, torch_generator("draw", draw))
        expected = LOSSES[name](literal, *batch, torch_generator("draw", draw))
        assert float(expected.detach()) > 0.01
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10 * float(expected.detach()))
        got = torch.autograd.grad(ours, [*denoiser.network.parameters()], allow_unused=True)
        true = torch.autograd.grad(expected, [weights[n] for n in names], allow_unused=True)
        for n, a, b in zip(names, got, true, strict=True):
            assert (a is None) == (b is None), n
            if a is not None:
                assert float((a - b).abs().max()) <= 1e-8 * max(float(b.abs().max()), 1e-3), n


@pytest.mark.parametrize(("name", "expected"), [("cold_diffusion", {1, 2, 3, 4, 5}), ("corediff", {0, 1, 2, 3, 4})])
def test_every_step_is_drawn(name: str, expected: set[int]) -> None:
    denoiser = both(name)[0]
    seen: list[int] = []
    denoiser.network.register_forward_pre_hook(lambda _, given: seen.append(int(given[1][0])))
    with torch.no_grad():
        for draw in range(60):
            denoiser.loss(pair(), torch_generator("draw", draw))
    assert set(seen) == expected


def fm_sampler(v: Callable, low: Tensor) -> Tensor:
    x = 2 * low - 1
    for i in range(STEPS):
        x = x + v(x, torch.full((2,), i / STEPS, dtype=torch.float64)) / STEPS
    return (x + 1) / 2


def cold_sampler(r: Callable, low: Tensor) -> Tensor:
    """Algorithm 2 of arXiv 2208.09392."""
    end = x = 2 * low - 1
    for s in range(STEPS, 0, -1):
        x0 = r(x, torch.tensor([s, s]))
        x = x - (x0 + s / STEPS * (end - x0)) + (x0 + (s - 1) / STEPS * (end - x0))
    return (x + 1) / 2


def core_sampler(r: Callable, low: Tensor) -> Tensor:
    """Algorithm 2 of arXiv 2304.01814 with x_T estimated anew from x_t, as the public code has it."""
    alpha = independent_alpha(STEPS)
    x, estimate = low, None
    for t in reversed(range(STEPS)):
        restored = r(x, torch.tensor([t, t]), estimate, low)
        if t == 0:
            return restored.clamp(0, 1)
        end = (x - alpha[t] * restored) / (1 - alpha[t])
        x = x - (alpha[t] * restored + (1 - alpha[t]) * end) + (alpha[t - 1] * restored + (1 - alpha[t - 1]) * end)
        estimate = restored
    raise AssertionError


SAMPLERS = {"fm": fm_sampler, "ffm": fm_sampler, "cold_diffusion": cold_sampler, "corediff": core_sampler}


@pytest.mark.parametrize("name", NAMES)
def test_sampler(name: str) -> None:
    denoiser, literal, _ = both(name)
    low = pair().input
    with torch.no_grad():
        sampled, expected = denoiser.denoise(low), SAMPLERS[name](literal, low)
    assert float((sampled - low).abs().mean()) > 0.02 and float(((sampled > 0) & (sampled < 1)).double().mean()) > 0.2
    torch.testing.assert_close(sampled, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        denoiser = CoreDiff() if name == "corediff" else UNETS[name]()
    norms = {"cold_diffusion": torch.nn.functional.l1_loss}
    assert denoiser.error is norms.get(name, torch.nn.functional.mse_loss)
    assert denoiser.steps == denoiser.network_calls == (50 if name == "cold_diffusion" else 10)
    assert (denoiser.lr, denoiser.schedule, denoiser.warmup) == (2e-4 if name == "corediff" else 1e-4, "constant", 0)
    averaging = (denoiser.ema_decay, denoiser.ema_every, denoiser.ema_start)
    assert averaging == ((0.995, 10, 2000) if name == "corediff" else (0.0, 1, 0))
    if name == "corediff":
        assert denoiser.modulate_stage_one is False and denoiser.context == 1
        torch.testing.assert_close(denoiser.alphas(10).double(), independent_alpha(10), rtol=0, atol=1e-7)
    else:
        drops = [m.p for m in denoiser.modules() if isinstance(m, torch.nn.Dropout)]
        assert drops == [0.1] * len(drops) and len(drops) == 14 and denoiser.channels == 1
        assert denoiser.network.time[0].scale == 1.0


def test_sizes_are_those_of_the_public_code() -> None:
    """39.5 M and 4.83 M (FFM with the 3 channels of its public code, CoreDiff with its 3 slices)."""
    with torch.device("meta"):
        denoisers = [FrequencyFlowMatching(channels=3), FlowMatching(channels=3), CoreDiff(context=3), CoreDiff()]
    assert [sum(p.numel() for p in d.parameters()) for d in denoisers] == [39521859, 38651587, 4825953, 4824801]
