"""Our FFM against the numbers of its authors' code, in float64: with a gradient, and in the form of sampling (Winograd)."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from ipv2_bench.denoisers.ffm import FrequencyFlowMatching
from ipv2_bench.denoisers.networks import winograd
from ipv2_bench.physics.intensity import from_network
from tests.literal.names import set_weights
from tests.parity.public_code import assert_close, names, numbers, weights

pytestmark = pytest.mark.usefixtures("one_thread")

BOUND = 1e-10


@pytest.fixture(scope="module")
def ffm() -> FrequencyFlowMatching:
    denoiser = FrequencyFlowMatching(channels=3, steps=10).double().eval().requires_grad_(False)
    set_weights(denoiser.network, weights("ffm"))
    return denoiser


@pytest.fixture
def winograd_calls() -> Iterator[list[int]]:
    """Number of channels of each convolution that takes Winograd's form, which every image is large enough for here."""
    calls: list[int] = []

    def recorded(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        calls.append(x.shape[1])
        return direct(x, weight, bias)

    direct = winograd.winograd
    with patch.object(winograd, "winograd", recorded), patch.object(winograd, "MIN_TILES", 1):
        yield calls


def test_size() -> None:
    with torch.device("meta"):
        ffm = FrequencyFlowMatching(channels=3)
    assert sum(p.numel() for p in ffm.parameters()) == names("ffm").parameters == 39512099


def test_velocity_and_gradient(ffm: FrequencyFlowMatching, winograd_calls: list[int]) -> None:
    given = numbers("ffm")
    x = given["x"].requires_grad_()
    velocity = ffm.network(x, given["t"])
    assert_close(velocity, given["velocity"], BOUND)
    (gradient,) = torch.autograd.grad((velocity * given["cotangent"]).sum(), x)
    assert_close(gradient, given["gradient_x"], BOUND)
    assert not winograd_calls


@torch.no_grad()
def test_velocity_without_gradient(ffm: FrequencyFlowMatching, winograd_calls: list[int]) -> None:
    given = numbers("ffm")
    assert_close(ffm.network(given["x"], given["t"]), given["velocity"], BOUND)
    assert {64, 128, 256, 512} <= set(winograd_calls)


@torch.no_grad()
def test_euler_steps(ffm: FrequencyFlowMatching) -> None:
    # Our sampler returns the mean of three equal channels; here they differ, and the states are the network's inputs.
    given = numbers("ffm")
    inputs: list[Tensor] = []
    with ffm.network.register_forward_pre_hook(lambda _, call: inputs.append(call[0])):
        states = list(ffm.states(from_network(given["start"])))
    assert_close(torch.cat(inputs), torch.cat([given["start"], given["euler_10"][:-1]]), BOUND)
    assert_close(torch.cat(states), from_network(given["euler_10"]).mean(dim=1, keepdim=True), BOUND)
