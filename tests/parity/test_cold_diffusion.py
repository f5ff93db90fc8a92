"""Our Cold Diffusion against the numbers of the public two-image variant, with its toy restorer in the network's place."""

import pytest
import torch

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.iterative.cold_diffusion import ColdDiffusion
from ipv2_bench.physics.intensity import from_network, to_network
from tests.parity.draws import generator_that_draws
from tests.parity.public_code import assert_close, numbers
from tests.parity.toy import ToyRestorer

STEPS = 50
BOUND = 1e-10


def cold_diffusion(degradation: str, end: str) -> ColdDiffusion:
    """Ours with T = 50 and the toy restorer."""
    denoiser = ColdDiffusion(widths=(8,), steps=STEPS, degradation=degradation, end=end).double()
    denoiser.network = ToyRestorer(numbers("cold_diffusion")["kernel"])
    return denoiser


def test_weights_of_both_images() -> None:
    given = numbers("cold_diffusion")
    clean, degraded = cold_diffusion("cosine", "fixed").weights
    assert_close(clean, given["weight_clean"], 1e-14)
    assert_close(degraded, given["weight_degraded"], 1e-14)


@torch.no_grad()
@pytest.mark.parametrize(("place", "t"), enumerate(range(0, STEPS, 7)))
def test_losses(place: int, t: int) -> None:
    given = numbers("cold_diffusion")
    pair = TrainingPair(from_network(given["degraded"]), from_network(given["clean"]))
    loss = cold_diffusion("cosine", "fixed").loss(pair, generator_that_draws(t, STEPS, len(pair.input)))
    assert abs(float(loss) - float(given["l1_at_t_0_7_14"][place])) <= BOUND


@torch.no_grad()
def test_samples_with_the_end_fixed() -> None:
    given = numbers("cold_diffusion")
    sampled = cold_diffusion("cosine", "fixed").denoise(from_network(given["degraded"]))
    assert_close(to_network(sampled), given["sampled_end_fixed"], BOUND)


@torch.no_grad()
def test_first_reconstruction_with_the_end_estimated() -> None:
    # The fixture holds the first direct reconstruction, which the public function returns second, and not the last image.
    given = numbers("cold_diffusion")
    first = cold_diffusion("cosine", "estimated").restored(given["degraded"], torch.tensor([STEPS - 1, STEPS - 1]))
    assert_close(first, given["sampled_end_estimated"], BOUND)


@torch.no_grad()
@pytest.mark.parametrize("degradation", ["cosine", "linear"])
def test_samples_with_the_end_estimated(degradation: str) -> None:
    # x_t = a_t·x̂_0 + b_t·x̂_T defines x̂_T, and x_{t−1} = a_{t−1}·x̂_0 + b_{t−1}·x̂_T; the last image is x̂_0 itself.
    given = numbers("cold_diffusion")
    a, b = given["weight_clean"].tolist(), given["weight_degraded"].tolist()
    if degradation == "linear":
        a, b = [1 - (t + 1) / STEPS for t in range(STEPS)], [(t + 1) / STEPS for t in range(STEPS)]
    restorer, x, states = ToyRestorer(given["kernel"]), given["degraded"], []
    for t in range(STEPS - 1, -1, -1):
        restored = restorer(x, torch.tensor([t, t]))
        end = (x - a[t] * restored) / b[t]
        x = a[t - 1] * restored + b[t - 1] * end if t > 0 else restored
        states.append(x)
    ours = list(cold_diffusion(degradation, "estimated").states(from_network(given["degraded"])))
    assert_close(to_network(torch.stack(ours)), torch.stack(states), BOUND)
    assert float((states[-1] - given["sampled_end_estimated"]).abs().max()) > 0.1
