"""Our FFM against the numbers of its authors' code, in float64: with a gradient, and as it samples."""

import pytest
import torch
from torch import Tensor

from ipv2_bench.denoisers.iterative.ffm import FrequencyFlowMatching
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


def test_size() -> None:
    with torch.device("meta"):
        ffm = FrequencyFlowMatching(channels=3)
    assert sum(p.numel() for p in ffm.parameters()) == names("ffm").parameters == 39512099


def test_velocity_and_gradient(ffm: FrequencyFlowMatching) -> None:
    given = numbers("ffm")
    x = given["x"].requires_grad_()
    velocity = ffm.network(x, given["t"])
    assert_close(velocity, given["velocity"], BOUND)
    (gradient,) = torch.autograd.grad((velocity * given["cotangent"]).sum(), x)
    assert_close(gradient, given["gradient_x"], BOUND)


@torch.no_grad()
def test_velocity_without_gradient(ffm: FrequencyFlowMatching) -> None:
    given = numbers("ffm")
    assert_close(ffm.network(given["x"], given["t"]), given["velocity"], BOUND)


@torch.no_grad()
def test_euler_steps(ffm: FrequencyFlowMatching) -> None:
    # Our sampler returns the mean of three equal channels; here they differ, and the states are the network's inputs.
    given = numbers("ffm")
    inputs: list[Tensor] = []
    with ffm.network.register_forward_pre_hook(lambda _, call: inputs.append(call[0])):
        states = list(ffm.states(from_network(given["start"])))
    assert_close(torch.cat(inputs), torch.cat([given["start"], given["euler_10"][:-1]]), BOUND)
    assert_close(torch.cat(states), from_network(given["euler_10"]).mean(dim=1, keepdim=True), BOUND)
