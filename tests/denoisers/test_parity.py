"""The networks against the literal ones in float64, with the same weights, at every size and with every option.

The literal networks are held to the numbers of the authors' code in ``tests/parity``, at the published sizes.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.networks.corediff_unet import CoreDiffUNet
from ipv2_bench.denoisers.networks.fused import fast_order, norm_act_stored_once, upsample_conv
from ipv2_bench.denoisers.networks.spectrum import amplitude_and_phase, from_amplitude_and_phase, make_hermitian_
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.physics.intensity import from_network, to_network
from ipv2_bench.physics.seeding import torch_generator
from tests.literal.corediff import LiteralCoreDiff
from tests.literal.names import parameters_like, with_weights_of
from tests.literal.networks import LiteralFoldedUNet, LiteralUNet
from tests.literal.procedures import corediff_alphas, corediff_states, euler_states

pytestmark = pytest.mark.usefixtures("one_thread")


def random_weights(network: nn.Module) -> None:
    """No layer at zero, so that every one counts."""
    generator = torch_generator("weights")
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / max(1, p[0].numel()) ** 0.5)


def assert_equal_with_gradients(
    network: nn.Module, literal: nn.Module, out: Tensor, expected: Tensor, *inputs: Tensor
) -> None:
    """Output to 1e-10, gradients by every weight and input to 1e-8."""
    assert out.dtype == torch.float64 and float(expected.detach().std()) > 0.1
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10 * float(expected.detach().abs().max()))
    seed = torch.randn(out.shape, generator=torch_generator("seed"), dtype=out.dtype)
    own = torch.autograd.grad(out, [*network.parameters(), *inputs], seed, allow_unused=True)
    theirs = torch.autograd.grad(expected, [*parameters_like(network, literal), *inputs], seed, allow_unused=True)
    names = [n for n, _ in network.named_parameters()]
    for name, a, b in zip([*names, *map(str, range(len(inputs)))], own, theirs, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            size = float(b.abs().max())
            assert float((a - b).abs().max()) <= 1e-8 * max(size, 1e-3), name


@pytest.mark.parametrize("frequency", [False, True])
@pytest.mark.parametrize(
    ("widths", "unshuffle", "channels", "scale", "shape"),
    [((8, 16, 24), 1, 1, 1.0, (2, 24, 40)), ((16, 16), 2, 1, 1000.0, (1, 16, 24)), ((8, 16), 1, 3, 1.0, (2, 12, 8))],
)
@pytest.mark.parametrize(("padding", "around"), [("right_below", (0, 1, 0, 1)), ("symmetric", (1, 1, 1, 1))])
def test_unet(
    frequency: bool,
    widths: tuple[int, ...],
    unshuffle: int,
    channels: int,
    scale: float,
    shape: tuple[int, ...],
    padding: str,
    around: tuple[int, int, int, int],
) -> None:
    network = UNet(widths, frequency, 0.1, scale, unshuffle, channels, padding=padding).double().eval()
    random_weights(network)
    plain = LiteralUNet(channels, widths, frequency, around=around)
    literal = with_weights_of(
        network, plain if unshuffle == 1 else LiteralFoldedUNet(channels, unshuffle, widths, frequency, around)
    )
    x = torch.randn(shape[0], channels, *shape[1:], dtype=torch.float64, generator=torch_generator(0))
    x.requires_grad_(True)
    t = torch.rand(shape[0], dtype=torch.float64, generator=torch_generator(1))
    assert_equal_with_gradients(network, literal, network(x, t), literal(x, scale * t), x)


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("shape", [(2, 16, 24), (1, 40, 8)])
def test_corediff_unet(modulated: bool, context: int, shape: tuple[int, ...]) -> None:
    network = CoreDiffUNet(8, context, modulator=4).double().eval()
    random_weights(network)
    literal = with_weights_of(network, LiteralCoreDiff(8, context, modulator=4))
    generator = torch_generator(0)
    x, estimate, x_end = (
        torch.randn(shape[0], n, *shape[1:], dtype=torch.float64, generator=generator).requires_grad_(True)
        for n in (context, 1, 1)
    )
    t = torch.tensor([3, 7][: shape[0]])
    known = estimate if modulated else None
    expected = literal(x, t, known, x_end)
    assert_equal_with_gradients(network, literal, network(x, t, known, x_end), expected, x, estimate, x_end)


@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("width", [4, 64])
def test_corediff_unet_samples_as_it_trains(context: int, width: int) -> None:
    # Without a gradient it works place by place; with and without, in the order of memory that a CPU is fastest in.
    torch.manual_seed(0)
    network = CoreDiffUNet(width, context, modulator=4).double()
    random_weights(network)
    x, estimate, x_end = (torch.rand(2, n, 64, 128, dtype=torch.float64) for n in (context, 1, 1))
    t, seen = torch.tensor([7, 2]), []
    network.level1[0].register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    for known in (estimate, None):
        seen.clear()
        expected = network(x, t, known, x_end).detach()
        with torch.no_grad():
            sampled = network(x, t, known, x_end)
        torch.testing.assert_close(sampled, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
        assert sampled.is_contiguous()
        assert all(x.is_contiguous(memory_format=torch.channels_last) for pair in seen for x in pair)


@pytest.mark.parametrize("training", [False, True])
def test_dropout_falls_on_the_same_places(training: bool) -> None:
    network = UNet((8, 16), True, dropout=0.3).double().train(training)
    random_weights(network)
    literal = with_weights_of(network, LiteralUNet(1, (8, 16), True, dropout=0.3))
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64, generator=torch_generator(0))
    t = torch.tensor([0.3], dtype=torch.float64)
    torch.manual_seed(0)
    out = network(x, t)
    torch.manual_seed(0)
    assert_equal_with_gradients(network, literal, out, literal(fast_order(x), t))  # it draws in the order of memory


def test_samplers() -> None:
    low = torch.rand(2, 1, 16, 16, dtype=torch.float64, generator=torch_generator(0))
    fm = FlowMatching(widths=(8, 16), steps=7).double().eval()
    random_weights(fm)
    literal = with_weights_of(fm.network, LiteralUNet(1, (8, 16)))
    *_, expected = euler_states(literal, to_network(low), 7)
    torch.testing.assert_close(fm.denoise(low), from_network(expected), rtol=1e-10, atol=1e-10)
    core = CoreDiff(width=8, modulator=4, steps=6).double().eval()
    random_weights(core)
    with torch.no_grad():  # away from the clamp, where every output is equal
        core.network.leave.weight.mul_(0.01)
        core.network.leave.bias.mul_(0.01)
    restorer = with_weights_of(core.network, LiteralCoreDiff(8, modulator=4))
    *_, last = corediff_states(restorer, low, corediff_alphas(6))
    expected = last.clamp(0, 1)
    assert float(((expected > 0) & (expected < 1)).double().mean()) > 0.1
    torch.testing.assert_close(core.denoise(low), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (2, 3, 5, 1), (1, 1, 1, 1), (2, 4, 8, 8)])
@pytest.mark.parametrize("bias", [False, True])
def test_upsample_conv_is_nearest_and_convolution(shape: tuple[int, ...], bias: bool) -> None:
    x = torch.randn(shape, dtype=torch.float64, generator=torch_generator(0))
    conv = nn.Conv2d(shape[1], 5, 3, padding=1, bias=bias, dtype=torch.float64)
    expected = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(upsample_conv(x, conv.weight, conv.bias), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_norm_act_and_its_gradient(activation: str) -> None:
    norm = nn.GroupNorm(2, 6, eps=1e-6).double()
    random_weights(norm)
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64, generator=torch_generator(0), requires_grad=True)
    torch.testing.assert_close(norm_act_stored_once(x, norm, activation), getattr(F, activation)(norm(x)), rtol=0, atol=1e-14)

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        own = nn.GroupNorm(2, 6, eps=1e-6)
        own.weight, own.bias = None, None  # plain tensors in their place
        del own.weight, own.bias
        own.weight, own.bias = weight, bias
        return norm_act_stored_once(x, own, activation)

    assert torch.autograd.gradcheck(function, (x, norm.weight, norm.bias))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norm_act_in_half_precision(dtype: torch.dtype) -> None:
    norm = nn.GroupNorm(2, 6)
    x = torch.randn(2, 6, 8, 8, generator=torch_generator(0)).to(dtype).requires_grad_(True)
    ours = norm_act_stored_once(x, norm, "silu")
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.float(), F.silu(norm(x.float())), rtol=2e-2, atol=2e-2)
    ours.float().square().sum().backward()
    assert x.grad is not None and x.grad.dtype == dtype and norm.weight.grad is not None


def edges(width: int) -> list[int]:
    return [0, width // 2] if width % 2 == 0 else [0]


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (5, 4), (2, 2), (6, 1), (1, 7)])
def test_gradients_of_amplitude_and_phase(size: tuple[int, int]) -> None:
    x = torch.randn(2, 1, *size, dtype=torch.float64, generator=torch_generator(0), requires_grad=True)
    # At the real bins the phase jumps between 0 and π: it has no gradient there, and neither has ours.
    assert torch.autograd.gradcheck(lambda x: amplitude_and_phase(x)[0], (x,))
    weight = torch.randn(amplitude_and_phase(x)[1].shape, dtype=torch.float64, generator=torch_generator(1))
    ours = torch.autograd.grad((weight * amplitude_and_phase(x)[1]).sum(), x)[0]
    literal = torch.autograd.grad((weight * torch.fft.rfft2(x).angle()).sum(), x)[0]
    torch.testing.assert_close(ours, literal, rtol=0, atol=1e-12 * float(literal.abs().max() + 1))


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (5, 4), (2, 2)])
def test_the_phase_of_a_negative_number_is_pi(size: tuple[int, int]) -> None:
    for i in range(20):
        x = torch.randn(1, 3, *size, generator=torch_generator(i)) - 0.5
        z, phase = torch.fft.rfft2(x), amplitude_and_phase(x)[1]
        assert float(phase.min()) > -torch.pi
        torch.testing.assert_close(torch.exp(1j * phase), z / z.abs(), rtol=0, atol=1e-5)
        real = phase[..., : 1 + size[0] // 2 : max(1, size[0] // 2) if size[0] % 2 == 0 else size[0], 0]
        assert torch.isin(real, torch.tensor([0.0, torch.pi])).all()
        assert i or (real > 3).any()


def test_the_phase_of_nothing_has_no_gradient() -> None:
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    amplitude, phase = amplitude_and_phase(x)
    (amplitude.sum() + phase.sum()).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (5, 4), (2, 2), (6, 1), (1, 7)])
def test_gradients_of_the_way_back(size: tuple[int, int]) -> None:
    half = (2, 1, size[0], size[1] // 2 + 1)
    amplitude, phase = (
        torch.randn(half, dtype=torch.float64, generator=torch_generator(i)).requires_grad_(True) for i in range(2)
    )
    assert (amplitude < 0).any()
    assert torch.autograd.gradcheck(lambda a, p: from_amplitude_and_phase(a, p, size[1]), (amplitude, phase))


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (2, 2), (6, 1), (1, 7)])
def test_hermitian_spectra_are_those_of_real_images(size: tuple[int, int]) -> None:
    z = torch.randn(2, *size[:1], size[1] // 2 + 1, 2, dtype=torch.float64, generator=torch_generator(0))
    z = torch.view_as_complex(z)
    hermitian = make_hermitian_(z.clone(), size[1])
    assert not torch.equal(hermitian, z)
    torch.testing.assert_close(torch.fft.rfft2(torch.fft.irfft2(hermitian, s=size)), hermitian)
    torch.testing.assert_close(torch.fft.irfft2(hermitian, s=size), torch.fft.irfft2(z, s=size))  # as the CPU does it


@pytest.mark.parametrize("size", [(4, 6), (3, 5)])
def test_the_compiler_is_told_what_the_operators_return(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch_generator(0)).to(memory_format=torch.channels_last)
    amplitude, phase = (v.to(memory_format=torch.channels_last) for v in amplitude_and_phase(x))
    gradient = torch.randn(x.shape, generator=torch_generator(1)).to(memory_format=torch.channels_last)
    ops = torch.ops.ipv2_bench
    for op, given in (
        (ops.amplitude_and_phase, (x,)),
        (ops.amplitude_and_phase_backward, (amplitude, phase, amplitude, phase, size[1])),
        (ops.from_amplitude_and_phase, (amplitude, phase, size[1])),
        (ops.from_amplitude_and_phase_backward, (gradient, amplitude, phase)),
    ):
        torch.library.opcheck(op, given, test_utils=("test_schema", "test_faketensor"))


def test_corediff_compiled_is_the_same() -> None:
    network = CoreDiffUNet(8, modulator=4).double()
    random_weights(network)
    x, estimate = torch.rand(2, 2, 1, 16, 16, dtype=torch.float64, generator=torch_generator(0)).unbind()
    t = torch.tensor([1, 3])
    plain = [network(x, t, e, x) for e in (None, estimate)]
    keys = list(network.state_dict())
    network.compile(backend="aot_eager", fullgraph=True)
    for e, expected in zip((None, estimate), plain, strict=True):
        torch.testing.assert_close(network(x, t, e, x), expected, rtol=0, atol=1e-11)
    assert list(network.state_dict()) == keys


@pytest.mark.parametrize("frequency", [False, True])
def test_traced_for_the_compiler_it_is_the_same(frequency: bool) -> None:
    network = UNet((8,) if frequency else (8, 16), frequency, dropout=0.0).double()
    random_weights(network)
    keys = list(network.state_dict())
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64, generator=torch_generator(0), requires_grad=True)
    t = torch.tensor([0.4], dtype=torch.float64)
    plain = network(x, t)
    gradient = torch.autograd.grad(plain.square().sum(), x)[0]
    network.compile(backend="aot_eager", fullgraph=True)
    traced = network(x, t)
    assert list(network.state_dict()) == keys
    torch.testing.assert_close(traced, plain, rtol=0, atol=1e-11)
    torch.testing.assert_close(torch.autograd.grad(traced.square().sum(), x)[0], gradient, rtol=1e-9, atol=1e-9)
