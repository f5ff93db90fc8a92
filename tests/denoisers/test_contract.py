"""What every registered denoiser keeps, and what each of the four promises."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ipv2_bench import registry
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.corediff import CoreDiff, alpha_schedule
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.denoisers.networks.corediff_unet import CoreDiffUNet
from ipv2_bench.denoisers.networks.frequency_mixer import SpectralBranch
from ipv2_bench.denoisers.networks.spectrum import make_hermitian_
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.denoisers.nl_means import noise_level
from ipv2_bench.denoisers.red_cnn import REDCNN
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import to_network
from ipv2_bench.physics.seeding import torch_generator

REGISTERED = registry.names("ipv2_bench.denoisers", Denoiser)
NAMES = [name for name in REGISTERED if name != "base"]
TRAINING_FREE = ("identity", "nl_means")
LEARNED = [name for name in NAMES if name not in TRAINING_FREE]
SMALL = {"widths": (8, 16), "width": 8, "modulator": 4, "dropout": 0.0, "steps": 3, "ema_decay": 0.0}


def build(name: str, **options: object) -> Denoiser:
    """The denoiser, with what it has of the small options."""
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)
    known = registry.options(cls, Denoiser)
    return registry.build(cls, Denoiser, {k: v for k, v in {**SMALL, **options}.items() if k in known}, name)


def a_pair() -> TrainingPair:
    """Two smooth slices and the same with noise, [2, 1, 32, 32]."""
    coarse = torch.rand(2, 1, 6, 6, generator=torch_generator("coarse"))
    target = 0.2 + 0.6 * nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)
    noise = 0.15 * torch.randn(target.shape, generator=torch_generator("noise"))
    return TrainingPair((target + noise).clamp(0, 1), target)


def mean_loss(denoiser: Denoiser) -> Tensor:
    """Over the same draws each time."""
    with torch.no_grad():
        return torch.stack([denoiser.loss(a_pair(), torch_generator("evaluate", i)) for i in range(12)]).mean()


@cache
def trained(name: str) -> tuple[Denoiser, float, float]:
    """After 30 steps of Adam, so that no layer is at zero any more; with the loss before and after."""
    torch.manual_seed(0)
    denoiser = build(name)
    if name in TRAINING_FREE:
        return denoiser.eval(), 0.0, 0.0
    before = mean_loss(denoiser)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        denoiser.loss(a_pair(), torch_generator("train", step)).backward()
        optimizer.step()
    return denoiser.eval(), float(before), float(mean_loss(denoiser))


def test_the_four_are_registered() -> None:
    assert {"fm", "ffm", "cold_diffusion", "corediff"} <= set(REGISTERED)


def test_the_base_class_is_no_denoiser() -> None:
    assert not {"base", "networks"} & set(REGISTERED)
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
    if name in ("fm", "ffm", "cold_diffusion", "corediff"):  # the others draw nothing
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
    denoiser = trained(name)[0]
    low = torch.cat([a_pair().input, a_pair().target])
    together = denoiser.restore(low, torch_generator(0))
    for i in range(len(low)):
        alone = denoiser.restore(low[i : i + 1], torch_generator(0))
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-5)


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
    with pytest.raises(InputError, match=f"{name} has no option 'stepz': use one of .*lr"):
        registry.build(cls, Denoiser, {"stepz": 3}, name)


def test_unknown_denoisers_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(InputError, match=f"denoiser 'unet' is unknown: use one of .*{', '.join(NAMES)}"):
        registry.find("ipv2_bench.denoisers", "unet", Denoiser)
    with pytest.raises(InputError, match=r"module 'no_such_module' of 'no_such_module:X'"):
        registry.find("ipv2_bench.denoisers", "no_such_module:X", Denoiser)
    assert registry.find("ipv2_bench.denoisers", "ipv2_bench.denoisers.fm:FlowMatching", Denoiser) is FlowMatching


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
    assert times == list(range(steps, 0, -1))
    assert float(denoiser.loss(a_pair(), torch_generator(0))) < 1e-6


def test_cold_diffusion_degrades_from_one_end_to_the_other() -> None:
    low, truth = a_pair()
    denoiser = ColdDiffusion(widths=(8,), steps=10)
    for t, share in ((0, 0.0), (3, 0.3), (10, 1.0)):
        made = denoiser.degrade(truth, low, torch.full((2,), t))
        torch.testing.assert_close(made, (1 - share) * truth + share * low, rtol=0, atol=1e-6)


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
    made = CoreDiff(width=8, steps=10).degrade(truth, low, torch.tensor([2, 7]))
    torch.testing.assert_close(made.mean((2, 3)), truth.mean((2, 3)), rtol=0, atol=1e-6)


def millions(network: nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


def test_networks_have_the_papers_size() -> None:
    with torch.device("meta"):
        assert millions(UNet(frequency=True, channels=3)) == pytest.approx(39.5, abs=0.1)
        assert millions(UNet(channels=3)) == pytest.approx(38.7, abs=0.1)
        assert millions(REDCNN()) == pytest.approx(1.85, abs=0.01)
        assert 4.82 <= millions(CoreDiffUNet()) <= 4.84


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10), (8, 9), (5, 7), (2, 2)])
def test_hermitian_leaves_the_cpus_inverse_as_it_is(height: int, width: int) -> None:
    half = width // 2 + 1
    z = torch.randn(2, 3, height, half, 2, dtype=torch.float64, generator=torch_generator(0))
    z = torch.view_as_complex(z)
    fixed = make_hermitian_(z.clone(), width)
    torch.testing.assert_close(torch.fft.irfft2(fixed, s=(height, width)), torch.fft.irfft2(z, s=(height, width)))
    # It is the spectrum of a real image now, which z is not.
    torch.testing.assert_close(torch.fft.rfft2(torch.fft.irfft2(fixed, s=(height, width))), fixed)
    assert (fixed - z).abs().max() > 0.1


@pytest.mark.parametrize("shape", [(1, 2, 4, 6), (2, 2, 3, 5)])
def test_gradient_of_the_spectral_branch(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    branch = SpectralBranch(2).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        assert (branch.amplitude(torch.fft.rfft2(x).abs()) < 0).any()  # where torch.polar's gradient is wrong
    assert torch.autograd.gradcheck(branch, (x,))
    for parameter in branch.parameters():
        parameter.requires_grad_(True)
    weights = tuple(p.detach().clone().requires_grad_(True) for p in branch.parameters())
    names = [n for n, _ in branch.named_parameters()]
    assert torch.autograd.gradcheck(
        lambda *w: torch.func.functional_call(branch, dict(zip(names, w, strict=True)), (x.detach(),)), weights
    )


def test_spectral_branch_is_the_formula() -> None:
    torch.manual_seed(0)
    branch, x = SpectralBranch(4).double(), torch.randn(1, 4, 6, 8, dtype=torch.float64)
    spectrum = torch.fft.rfft2(x)
    z = branch.amplitude(spectrum.abs()) * torch.exp(1j * branch.phase(spectrum.angle()))
    torch.testing.assert_close(branch(x), torch.fft.irfft2(z, s=(6, 8)))
