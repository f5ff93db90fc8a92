"""Sizes of the networks, and the spectral branch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ipv2_bench.denoisers.networks.corediff_unet import RISES, CoreDiffUNet
from ipv2_bench.denoisers.networks.frequency_mixer import SpectralBranch
from ipv2_bench.denoisers.networks.spectrum import make_hermitian_
from ipv2_bench.denoisers.networks.unet import UNet
from ipv2_bench.denoisers.one_pass.red_cnn import REDCNN
from ipv2_bench.physics.seeding import torch_generator


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


def test_an_even_map_is_enlarged_evenly_but_by_transposed_convolutions() -> None:
    torch.manual_seed(0)
    even = torch.ones(1, 8, 12, 12)
    spread = {name: rise(8, 4)(even)[..., 2:-2, 2:-2].std(dim=(2, 3)).max().item() for name, rise in RISES.items()}
    assert spread["bilinear"] < 1e-6 < 0.05 < spread["transposed"]


def test_how_maps_are_enlarged_is_an_option() -> None:
    pair = torch.rand(2, 1, 16, 16), torch.ones(2)
    outputs = {}
    for rise in RISES:
        torch.manual_seed(0)
        network = CoreDiffUNet(4, modulator=2, rise=rise)
        outputs[rise] = network(*pair, None, pair[0])
    assert all(out.shape == (2, 1, 16, 16) for out in outputs.values())
    with pytest.raises(ValueError, match="rise is 'cubic': use one of transposed, bilinear"):
        CoreDiffUNet(4, rise="cubic")
