"""Objectives and samplers with networks that know the answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.iterative.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.iterative.corediff import CoreDiff, alpha_schedule
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.physics.intensity import to_network
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.small import a_pair


class Answer(nn.Module):
    """A network that knows; called with whatever the denoiser passes."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *given: Tensor) -> Tensor:
        return self.answer(*given)


def with_network(denoiser: Denoiser, answer: object) -> Denoiser:
    denoiser.network = Answer(answer)
    return denoiser


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_fm_with_the_true_velocity_arrives(steps: int) -> None:
    low, truth = a_pair()
    velocity = to_network(truth) - to_network(low)
    times = []
    denoiser = with_network(FlowMatching(widths=(8,), steps=steps), lambda x, t: times.append(float(t[0])) or velocity)
    torch.testing.assert_close(denoiser.denoise(low), truth, rtol=0, atol=1e-6)
    assert times == pytest.approx([i / steps for i in range(steps)])
    assert float(denoiser.loss(a_pair(), torch_generator(0))) < 1e-10


def test_fm_trains_on_the_straight_path() -> None:
    low, truth = a_pair()
    seen = []
    denoiser = with_network(FlowMatching(widths=(8,)), lambda x, t: seen.append((x, t)) or torch.zeros_like(x))
    loss = denoiser.loss(a_pair(), torch_generator(0))
    ((x, t),) = seen
    assert t.shape == (2,) and ((t >= 0) & (t < 1)).all() and t[0] != t[1]
    share = t[:, None, None, None]
    torch.testing.assert_close(x, to_network((1 - share) * low + share * truth), rtol=0, atol=1e-6)
    torch.testing.assert_close(loss, (4 * (truth - low) ** 2).mean())


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_cold_diffusion_with_an_oracle_ends_at_its_answer(steps: int) -> None:
    low, truth = a_pair()
    times = []
    denoiser = ColdDiffusion(widths=(8,), steps=steps)
    with_network(denoiser, lambda x, t: times.append(int(t[0])) or to_network(truth))
    torch.testing.assert_close(denoiser.denoise(low), truth, rtol=0, atol=1e-5)
    assert times == list(range(steps - 1, -1, -1))
    assert float(denoiser.loss(a_pair(), torch_generator(0))) < 1e-6


def test_cold_diffusion_degrades_from_one_end_to_the_other() -> None:
    low, truth = a_pair()
    denoiser = ColdDiffusion(widths=(8,), steps=10)
    for t, share in ((0, 0.1), (3, 0.4), (9, 1.0)):
        degraded = denoiser.degrade(truth, low, torch.full((2,), t))
        torch.testing.assert_close(degraded, (1 - share) * truth + share * low, rtol=0, atol=1e-6)


def test_cold_diffusion_can_predict_the_residual() -> None:
    low, truth = a_pair()
    denoiser = ColdDiffusion(widths=(8,), steps=6, residual=True)
    with_network(denoiser, lambda x, t: to_network(truth) - x)
    torch.testing.assert_close(denoiser.denoise(low), truth, rtol=0, atol=1e-5)
    assert float(denoiser.loss(a_pair(), torch_generator(0))) < 1e-6


@pytest.mark.parametrize("steps", [2, 10, 50])
def test_corediffs_alpha_ends_at_zero(steps: int) -> None:
    alpha = alpha_schedule(steps).double()
    assert len(alpha) == steps and float(alpha[-1]) == 0.0
    assert float(alpha[0]) == pytest.approx(0.999)
    spacing = -alpha.diff()[1:]  # the first is clipped
    torch.testing.assert_close(spacing, torch.full_like(spacing, steps / (steps - 1) / steps), rtol=1e-5, atol=1e-7)
    assert (alpha.diff() < 0).all()


def test_corediff_with_an_oracle_ends_at_its_answer_and_modulates_after_the_first_step() -> None:
    low, truth = a_pair()
    calls = []

    def oracle(x: Tensor, t: Tensor, estimate: Tensor | None, x_end: Tensor) -> Tensor:
        calls.append((int(t[0]), estimate, x))
        assert torch.equal(x_end, low)
        return truth

    denoiser = with_network(CoreDiff(width=8, steps=10), oracle)
    torch.testing.assert_close(denoiser.denoise(low), truth, rtol=0, atol=1e-6)
    assert [t for t, *_ in calls] == list(range(9, -1, -1))
    assert calls[0][1] is None and all(torch.equal(e, truth) for _, e, _ in calls[1:])
    assert torch.equal(calls[0][2], low)
    # With the truth at hand, x_T is estimated right, and x_t stays on the path between the two.
    alpha = alpha_schedule(10)
    for t, _, x in calls:
        torch.testing.assert_close(x, alpha[t] * truth + (1 - alpha[t]) * low, rtol=0, atol=1e-5)


def test_corediff_preserves_the_mean_of_slices_of_equal_mean() -> None:
    low, truth = a_pair()
    low = low - low.mean((2, 3), keepdim=True) + truth.mean((2, 3), keepdim=True)
    degraded = CoreDiff(width=8, steps=10).degrade(truth, low, torch.tensor([2, 7]))
    torch.testing.assert_close(degraded.mean((2, 3)), truth.mean((2, 3)), rtol=0, atol=1e-6)
