"""Options of the four denoisers: each does what it says, and the defaults are the published ones."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.iterative.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.iterative.corediff import CoreDiff, linear_schedule
from ipv2_bench.denoisers.iterative.ffm import FrequencyFlowMatching
from ipv2_bench.denoisers.iterative.fm import SOLVERS, FlowMatching
from ipv2_bench.physics.intensity import to_network
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.small import a_pair
from tests.denoisers.test_samplers import with_network


def solution_error(solver: str, steps: int) -> float:
    """Of dx/dt = −x·t·2 from 1, whose solution at t = 1 is 1/e."""
    x = torch.ones(1, dtype=torch.float64)
    for i in range(steps):
        x = SOLVERS[solver](lambda x, t: -2.0 * t * x, x, i / steps, 1.0 / steps)
    return abs(float(x) - math.exp(-1.0))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_the_error_of_a_solver_falls_with_its_order(solver: str, order: int) -> None:
    measured = math.log2(solution_error(solver, 40) / solution_error(solver, 80))
    assert measured == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize(("solver", "calls"), [("euler", 4), ("midpoint", 8), ("heun", 8)])
def test_network_calls_of_a_solver(solver: str, calls: int) -> None:
    times: list[float] = []
    denoiser = FlowMatching(widths=(8,), steps=4, solver=solver)
    with_network(denoiser, lambda x, t: times.append(float(t[0])) or torch.zeros_like(x))
    denoiser.restore(a_pair().input)
    assert len(times) == calls == denoiser.network_calls and max(times) <= 1


def test_flow_matching_with_two_norms() -> None:
    x_0, x_1 = map(to_network, a_pair())
    for criterion, expected in (("l2", F.mse_loss(x_1, x_0)), ("l1", F.l1_loss(x_1, x_0))):
        denoiser = with_network(FlowMatching(widths=(8,), criterion=criterion), lambda x, t: torch.zeros_like(x))
        torch.testing.assert_close(denoiser.loss(a_pair(), torch_generator(0)), expected)
    assert FlowMatching(widths=(8,)).error is F.mse_loss


def test_cold_diffusion_and_corediff_with_two_norms() -> None:
    low, truth = a_pair()
    for criterion, norm in (("l2", F.mse_loss), ("l1", F.l1_loss)):
        cold = with_network(ColdDiffusion(widths=(8,), criterion=criterion), lambda x, t: torch.zeros_like(x))
        torch.testing.assert_close(cold.loss(a_pair(), torch_generator(0)), norm(to_network(truth), 0 * truth))
        core = with_network(CoreDiff(width=8, criterion=criterion), lambda x, t, e, end: low)
        torch.testing.assert_close(core.loss(a_pair(), torch_generator(0)), norm(low, truth))
    assert ColdDiffusion(widths=(8,)).error is F.l1_loss and CoreDiff(width=8).error is F.mse_loss


@pytest.mark.parametrize("cls", [FlowMatching, FrequencyFlowMatching, ColdDiffusion])
def test_three_equal_channels_as_in_the_public_code(cls: type) -> None:
    denoiser = cls(widths=(8, 16), channels=3, steps=2, dropout=0.0)
    seen: list[Tensor] = []
    denoiser.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        for p in denoiser.network.leave.parameters():
            p.normal_(0, 0.1)
    restored = denoiser.restore(a_pair().input)
    assert restored.shape == (2, 1, 32, 32)
    assert seen[0].shape == (2, 3, 32, 32) and torch.equal(seen[0][:, 0], seen[0][:, 2])
    assert torch.isfinite(denoiser.loss(a_pair(), torch_generator(0)))


def test_corediffs_linear_schedule_is_the_papers() -> None:
    torch.testing.assert_close(linear_schedule(4), torch.tensor([0.75, 0.5, 0.25, 0.0]))
    low, truth = a_pair()
    denoiser = with_network(CoreDiff(width=8, steps=4, alpha="linear"), lambda x, t, e, end: truth)
    torch.testing.assert_close(denoiser.degrade(truth, low, torch.tensor([3, 3])), low)
    torch.testing.assert_close(denoiser.denoise(low), truth)


def test_modulation_of_stage_one() -> None:
    low, truth = a_pair()
    for option in (False, True):
        first: list[Tensor | None] = []
        denoiser = CoreDiff(width=8, steps=6, modulate_stage_one=option)
        with_network(denoiser, lambda x, t, e, end, first=first: first.append(e) or low)
        for i in range(20):
            first.clear()
            denoiser.loss(a_pair(), torch_generator(i))
            if len(first) == 2:  # both stages
                assert first[1] is low
                assert first[0] is None or (option and torch.equal(first[0], truth))
        assert CoreDiff(width=8).modulate_stage_one is False


def test_corediff_sees_the_neighbours_of_the_slice() -> None:
    low, truth = a_pair()
    around = torch.cat([low * 0.5, low, low * 0.8], dim=1)
    seen: list[tuple[Tensor, Tensor]] = []
    denoiser = CoreDiff(width=8, steps=3, context=3)
    assert denoiser.network.enter[0].in_channels == 3
    with_network(denoiser, lambda x, t, e, end: seen.append((x, end)) or truth)
    torch.testing.assert_close(denoiser.restore(around), truth, rtol=0, atol=1e-6)
    denoiser.loss(TrainingPair(around, truth), torch_generator(0))
    for x, end in seen:
        assert torch.equal(end, low)
        assert torch.equal(x[:, :1], low * 0.5) and torch.equal(x[:, 2:], low * 0.8)
    assert torch.equal(seen[0][0][:, 1:2], low)
    with pytest.raises(ValueError, match=r"expected \[batch, 3, height, width\]"):
        denoiser.restore(low)


def test_slices_that_are_smaller_than_the_padding() -> None:
    denoiser = CoreDiff(width=8, steps=2)
    assert denoiser.restore(torch.rand(1, 1, 3, 9)).shape == (1, 1, 3, 9)
