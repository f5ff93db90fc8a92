"""The literal networks and formulas against the numbers of the authors' code, in float64."""

import pytest
import torch
from torch import Tensor

from tests.literal.corediff import LiteralCoreDiff
from tests.literal.networks import LiteralFFM
from tests.literal.procedures import (
    cold_diffusion_loss,
    cold_diffusion_sample,
    corediff_alphas,
    corediff_loss,
    corediff_states,
    cosine_weights,
    euler_states,
)
from tests.parity.public_code import assert_close, names, numbers, weights
from tests.parity.toy import ToyRestorer

pytestmark = pytest.mark.usefixtures("one_thread")

BOUND = 1e-10


@pytest.fixture(scope="module")
def ffm() -> LiteralFFM:
    network = LiteralFFM().double().eval().requires_grad_(False)
    network.load_state_dict(weights("ffm"))
    return network


@pytest.fixture(scope="module")
def corediff() -> LiteralCoreDiff:
    network = LiteralCoreDiff().double().eval().requires_grad_(False)
    network.load_state_dict(weights("corediff"))
    return network


@pytest.mark.parametrize(("name", "network"), [("ffm", LiteralFFM), ("corediff", LiteralCoreDiff)])
def test_layers_are_the_public_networks(name: str, network: type) -> None:
    with torch.device("meta"):
        state = network().state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == names(name).shapes
    assert sum(value.numel() for value in state.values()) == names(name).parameters


def test_ffm_velocity_and_gradient(ffm: LiteralFFM) -> None:
    given = numbers("ffm")
    x = given["x"].requires_grad_()
    velocity = ffm(x, given["t"])
    assert_close(velocity, given["velocity"], BOUND)
    (gradient,) = torch.autograd.grad((velocity * given["cotangent"]).sum(), x)
    assert_close(gradient, given["gradient_x"], BOUND)


@torch.no_grad()
def test_ffm_euler_steps(ffm: LiteralFFM) -> None:
    given = numbers("ffm")
    assert_close(torch.stack(list(euler_states(ffm, given["start"], 10)))[:, 0], given["euler_10"], BOUND)


def test_corediff_alphas() -> None:
    given = numbers("corediff")["alphas"]
    assert_close(corediff_alphas(10), given, 1e-15)
    assert given[-1] == 0


@torch.no_grad()
@pytest.mark.parametrize("setting", names("corediff").losses)
def test_corediff_loss(corediff: LiteralCoreDiff, setting: str) -> None:
    given, (only, t) = numbers("corediff"), setting.split(",")
    loss = corediff_loss(
        corediff, given["y"], given["x"], given["alphas"], int(t.removeprefix("t=")), only.endswith("=True")
    )
    assert abs(float(loss) - names("corediff").losses[setting]) <= BOUND


@torch.no_grad()
def test_corediff_samples(corediff: LiteralCoreDiff) -> None:
    given = numbers("corediff")
    states = list(corediff_states(corediff, given["x"], given["alphas"]))
    assert_close(torch.stack(states), given["steps"], BOUND)
    assert_close(states[-1].clamp(0, 1), given["sampled"], BOUND)


def cosine() -> tuple[Tensor, Tensor]:
    given = numbers("cold_diffusion")
    return given["weight_clean"], given["weight_degraded"]


def test_cold_diffusion_weights() -> None:
    for ours, theirs in zip(cosine_weights(50), cosine(), strict=True):
        assert_close(ours, theirs, 1e-14)
    clean, degraded = cosine()
    assert float((clean + degraded).max()) == pytest.approx(2**0.5, abs=1e-3)  # the two do not sum to 1


@torch.no_grad()
def test_cold_diffusion_losses() -> None:
    given = numbers("cold_diffusion")
    for i, t in enumerate(range(0, 50, 7)):
        loss = cold_diffusion_loss(ToyRestorer(given["kernel"]), given["clean"], given["degraded"], cosine(), t)
        assert abs(float(loss) - float(given["l1_at_t_0_7_14"][i])) <= BOUND


@pytest.mark.parametrize("estimate_end", [False, True])
def test_cold_diffusion_samples(estimate_end: bool) -> None:
    given = numbers("cold_diffusion")
    sampled, first = cold_diffusion_sample(ToyRestorer(given["kernel"]), given["degraded"], cosine(), estimate_end)
    if estimate_end:  # the fixture holds the first direct reconstruction, which the public function returns second
        assert_close(first, given["sampled_end_estimated"], BOUND)
    else:
        assert_close(sampled, given["sampled_end_fixed"], BOUND)
