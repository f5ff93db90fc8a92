"""The contract that every registered denoiser keeps."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ipv2_bench import registry
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.filters.nl_means import noise_level
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.small import LEARNED, NAMES, TRAINING_FREE, a_pair, build, trained


def test_the_four_are_registered() -> None:
    assert {"fm", "ffm", "cold_diffusion", "corediff"} <= set(NAMES)


def test_the_base_class_is_no_denoiser() -> None:
    assert not {"base", "networks"} & set(NAMES)
    with pytest.raises(InputError, match="denoiser 'base' is unknown"):
        registry.find("ipv2_bench.denoisers", "base", Denoiser)


def test_a_denoiser_without_its_methods_cannot_be_built() -> None:
    class Half(Denoiser):
        def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
            return pair.input.mean()

    with pytest.raises(TypeError, match="denoise"):
        Half()


@pytest.mark.parametrize("name", LEARNED)
def test_loss_is_finite_and_falls(name: str) -> None:
    _, before, after = trained(name)
    assert 0 < after < 0.8 * before < float("inf")


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_learns(name: str) -> None:
    denoiser = build(name).train()
    torch.manual_seed(0)
    with torch.no_grad():  # a last layer at zero lets no gradient through
        for p in denoiser.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    for i in range(6):
        denoiser.loss(a_pair(), torch_generator("loss", i)).backward()
    idle = [n for n, p in denoiser.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not idle
    assert not [n for n, p in denoiser.named_parameters() if not p.grad.abs().max() > 0]


@pytest.mark.parametrize("name", LEARNED)
def test_the_loss_draws_from_its_generator_alone(name: str) -> None:
    denoiser = trained(name)[0]
    torch.manual_seed(1)
    first = denoiser.loss(a_pair(), torch_generator(0))
    torch.manual_seed(2)
    assert torch.equal(first, denoiser.loss(a_pair(), torch_generator(0)))
    if name in ("fm", "ffm", "cold_diffusion", "corediff", "alden"):  # DU-GAN draws from its second step on, the others nothing
        assert len({float(denoiser.loss(a_pair(), torch_generator(i)).detach()) for i in range(8)}) > 1
    assert first.ndim == 0


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_what_is_not_trained_has_no_parameters(name: str) -> None:
    assert not list(build(name).parameters()) and build(name).network_calls == 0


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_the_noise_of_a_slice_is_found(sigma: float) -> None:
    clean = nn.functional.interpolate(a_pair().target, (96, 96), mode="bilinear")[0, 0].double().numpy()
    noise = torch.randn(96, 96, generator=torch_generator("level"), dtype=torch.float64).numpy()
    assert noise_level(clean + sigma * noise) == pytest.approx(sigma, rel=0.05)
    assert noise_level(clean) < 0.1 * sigma


def test_non_local_means_takes_noise_away() -> None:
    low, target = a_pair()
    restored = build("nl_means").restore(low)
    assert float(nn.functional.mse_loss(restored, target)) < 0.4 * float(nn.functional.mse_loss(low, target))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (1, 1, 33, 47), (3, 1, 24, 40), (1, 1, 17, 17)])
def test_restored_slices_have_shape_type_and_range(name: str, shape: tuple[int, ...]) -> None:
    low = torch.rand(shape, generator=torch_generator(shape[2]))
    restored = trained(name)[0].restore(low, torch_generator(0))
    assert restored.shape == low.shape and restored.dtype == torch.float32
    assert torch.isfinite(restored).all() and restored.min() >= 0 and restored.max() <= 1
    assert torch.equal(restored, low) == (name == "identity")
    assert not restored.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_are_refused(name: str) -> None:
    for shape in ((32, 32), (1, 32, 32), (1, 3, 32, 32)):
        with pytest.raises(ValueError, match=rf"\({shape[0]}, .*expected \[batch, 1, height, width\]"):
            trained(name)[0].restore(torch.zeros(shape))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_gives_the_same_slices(name: str) -> None:
    denoiser, low = trained(name)[0], a_pair().input
    torch.manual_seed(1)
    first = denoiser.restore(low, torch_generator(0))
    torch.manual_seed(2)
    assert torch.equal(first, denoiser.restore(low, torch_generator(0)))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_equals_its_place_in_a_batch(name: str) -> None:
    # In float64: FFM's phase jumps from π to −π, where rounding in float32 may fall on either side.
    denoiser = deepcopy(trained(name)[0]).double()
    low = torch.cat([a_pair().input, a_pair().target]).to(
        torch.float64 if list(denoiser.parameters()) else torch.float32
    )
    together = denoiser.restore(low, torch_generator(0))
    for i in range(len(low)):
        alone = denoiser.restore(low[i : i + 1], torch_generator(0))
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["fm", "ffm", "cold_diffusion", "corediff"])
def test_network_calls_are_counted_right(name: str) -> None:
    denoiser = trained(name)[0]
    calls = []
    handle = denoiser.network.register_forward_hook(lambda *_: calls.append(1))
    denoiser.restore(a_pair().input, torch_generator(0))
    handle.remove()
    assert len(calls) == denoiser.network_calls == 3


@pytest.mark.parametrize("name", LEARNED)
def test_weights_survive_a_file(name: str, tmp_path: Path) -> None:
    denoiser = trained(name)[0]
    save_file({k: v.contiguous() for k, v in denoiser.state_dict().items()}, tmp_path / "model.safetensors")
    fresh = build(name).eval()
    low = a_pair().input
    assert not torch.equal(fresh.restore(low, torch_generator(0)), denoiser.restore(low, torch_generator(0)))
    fresh.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(fresh.restore(low, torch_generator(0)), denoiser.restore(low, torch_generator(0)))


@pytest.mark.parametrize("name", NAMES)
def test_unusable_options_are_refused_by_name(name: str) -> None:
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)
    for option, value, named in (
        ("lr", -1.0, "lr is -1"),
        ("schedule", "sawtooth", "schedule 'sawtooth' is unknown: use one of constant"),
        ("warmup", -1, "warmup is -1"),
        ("ema_decay", 1.5, "ema_decay 1.5"),
        ("solver", "rk9", "solver 'rk9' is unknown: use one of euler, midpoint, heun"),
        ("criterion", "l3", "criterion 'l3' is unknown: use one of l1, l2"),
        ("alpha", "steep", "alpha 'steep' is unknown: use one of published, linear"),
        ("kernel", 4, "kernel 4"),
        ("strength", 0.0, "strength 0.0"),
        ("context", 2, "context is 2: expected 1 slice or 3"),
        ("channels", 0, "channels is 0"),
        ("steps", 0, "steps is 0"),
    ):
        if option in registry.options(cls, Denoiser):
            with pytest.raises(InputError, match=named):
                build(name, **{option: value})
    with pytest.raises(InputError, match=f"{name} has no option 'stepz': .*use one of .*lr"):
        registry.build(cls, Denoiser, {"stepz": 3}, name)


def test_unknown_denoisers_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(InputError, match=f"denoiser 'unetz' is unknown: did you mean unet.* use one of .*{', '.join(NAMES)}"):
        registry.find("ipv2_bench.denoisers", "unetz", Denoiser)
    with pytest.raises(InputError, match=r"module 'no_such_module' of 'no_such_module:X'"):
        registry.find("ipv2_bench.denoisers", "no_such_module:X", Denoiser)
    assert registry.find("ipv2_bench.denoisers", "ipv2_bench.denoisers.iterative.fm:FlowMatching", Denoiser) is FlowMatching
