"""Our CoreDiff against the numbers of its authors' code, in float64: with a gradient, and in the form of sampling."""

import pytest
import torch

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from tests.literal.names import set_weights
from tests.parity.draws import generator_that_draws
from tests.parity.public_code import assert_close, names, numbers, weights

pytestmark = pytest.mark.usefixtures("one_thread")

BOUND = 1e-10


@pytest.fixture(scope="module")
def corediff() -> CoreDiff:
    denoiser = CoreDiff(steps=10).double().eval()
    set_weights(denoiser.network, weights("corediff"))
    return denoiser


def test_size_and_alphas(corediff: CoreDiff) -> None:
    assert sum(p.numel() for p in corediff.parameters()) == names("corediff").parameters == 4824801
    given = numbers("corediff")["alphas"]
    assert_close(corediff.alpha, given, 1e-15)
    assert corediff.alpha[-1] == given[-1] == 0


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("setting", names("corediff").losses)
def test_loss_of_both_stages(corediff: CoreDiff, setting: str, gradient: bool) -> None:
    given, (only, t) = numbers("corediff"), setting.split(",")
    corediff.modulate_stage_one = only == "only_adjust_two_step=False"
    with torch.set_grad_enabled(gradient):
        loss = corediff.loss(
            TrainingPair(given["x"], given["y"]), generator_that_draws(int(t.removeprefix("t=")), corediff.steps, 1)
        )
    assert loss.requires_grad == gradient
    assert abs(float(loss.detach()) - names("corediff").losses[setting]) <= BOUND


@pytest.mark.parametrize("gradient", [True, False])
def test_samples(corediff: CoreDiff, gradient: bool) -> None:
    given = numbers("corediff")
    with torch.set_grad_enabled(gradient):
        states = list(corediff.states(given["x"]))
    # The public steps are not clamped, and the public image is the last of them clamped, as our last state.
    assert_close(torch.stack(states[:-1]), given["steps"][:-1], BOUND)
    assert_close(states[-1], given["sampled"], BOUND)
    assert_close(states[-1], given["steps"][-1].clamp(0, 1), BOUND)
