"""Winograd's form of a convolution is the convolution."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from ipv2_bench.denoisers.networks import winograd
from ipv2_bench.denoisers.networks.winograd import Conv3x3, channels_last, has_channels_last, transformed_weight
from ipv2_bench.physics.seeding import torch_generator


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_generator(*shape)).to(dtype)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("inside", "outside", "height", "width"), [(2, 3, 4, 4), (5, 2, 8, 20), (3, 4, 128, 4)])
@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_it_is_the_convolution(
    batch: int, inside: int, outside: int, height: int, width: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "BLOCK", block)
    x, weight, bias = drawn(batch, inside, height, width), drawn(outside, inside, 3, 3), drawn(outside)
    for b in (bias, None):
        ours = winograd.winograd(x, transformed_weight(weight), b)
        torch.testing.assert_close(ours, F.conv2d(x, weight, b, padding=1), rtol=0, atol=1e-12)
    last = winograd.winograd(x.to(memory_format=torch.channels_last), transformed_weight(weight), None)
    torch.testing.assert_close(last, ours, rtol=0, atol=1e-12)
    assert ours.is_contiguous() and last.is_contiguous(memory_format=torch.channels_last)
    strided = drawn(batch, inside, 2 * height, width)[:, :, ::2]
    ours = winograd.winograd(strided, transformed_weight(weight), bias)
    torch.testing.assert_close(ours, F.conv2d(strided, weight, bias, padding=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-14)])
def test_rounding_is_that_of_the_form(dtype: torch.dtype, bound: float) -> None:
    # Root mean squares, since largest errors vary. Against the exact sum: 1.9e-6 in float32 and 3.5e-15 in float64 with AVX-512,
    # with AVX2 and without either.
    torch.manual_seed(0)
    conv, x = Conv3x3(64, 64).to(dtype).requires_grad_(False), drawn(1, 64, 32, 32, dtype=dtype)
    exact = F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    with torch.no_grad():
        winograd_sum = conv(x)
    assert not torch.equal(winograd_sum, F.conv2d(x, conv.weight, conv.bias, padding=1))  # the other form was taken
    error = (winograd_sum - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 0 < float(error) < bound


def test_the_direct_form_is_taken_where_it_must_be() -> None:
    wide, x = Conv3x3(64, 64), drawn(1, 64, 32, 32, dtype=torch.float32)
    assert torch.equal(wide(x), F.conv2d(x, wide.weight, wide.bias, padding=1))  # a gradient is wanted
    with torch.no_grad():
        for conv, image in (
            (Conv3x3(8, 8), drawn(1, 8, 32, 32, dtype=torch.float32)),  # narrow
            (wide, drawn(1, 64, 34, 32, dtype=torch.float32)),  # no multiple of 4
            (wide, drawn(1, 64, 28, 32, dtype=torch.float32)),  # few tiles
            (wide, channels_last(drawn(1, 64, 32, 32, dtype=torch.float32))),  # faster so with channels last
            (Conv3x3(64, 64).bfloat16(), drawn(1, 64, 32, 32, dtype=torch.bfloat16)),
        ):
            assert torch.equal(conv(image), F.conv2d(image, conv.weight, conv.bias, padding=1))
        broad = Conv3x3(64, 128)
        for image in (x, channels_last(x)):
            assert not torch.equal(broad(image), F.conv2d(image, broad.weight, broad.bias, padding=1))


def test_one_channel_can_lie_last_too() -> None:
    x = drawn(2, 1, 4, 6)
    assert channels_last(x).stride() == (24, 1, 6, 1) and torch.equal(channels_last(x), x)
    assert not has_channels_last(channels_last(x)) and has_channels_last(channels_last(drawn(2, 3, 4, 6)))


def test_new_weights_count_at_once() -> None:
    conv, x = Conv3x3(64, 64).double(), drawn(1, 64, 32, 32)
    with torch.no_grad():
        conv(x)
        for change in (lambda: conv.weight.mul_(2), lambda: conv.load_state_dict(Conv3x3(64, 64).state_dict())):
            change()
            torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1), rtol=0, atol=1e-12)
        conv.weight.data = conv.weight.data * 3
        torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1), rtol=0, atol=1e-12)
    other = copy.deepcopy(conv)
    assert other._transformed is None and conv._transformed is not None
    assert list(conv.state_dict()) == ["weight", "bias"]


@torch.no_grad()
def test_weights_written_past_their_version_are_seen() -> None:
    # As averaging does: neither the place in memory nor the version of the weights changes.
    conv, x = Conv3x3(64, 64).double(), drawn(1, 64, 32, 32)
    before = conv(x)
    assert conv._transformed is not None  # Winograd's form was taken
    version = conv.weight._version
    conv.weight.data.copy_(drawn(64, 64, 3, 3))
    assert conv.weight._version == version
    after = conv(x)
    torch.testing.assert_close(after, F.conv2d(x, conv.weight, conv.bias, padding=1), rtol=0, atol=1e-11)  # of values up to 108
    assert float((after - before).abs().max()) > 1.0


def test_weights_made_in_inference_mode() -> None:
    with torch.inference_mode():
        conv, x = Conv3x3(64, 64), drawn(1, 64, 32, 32, dtype=torch.float32)
        before = conv(x)
    with torch.no_grad():
        torch.testing.assert_close(conv(x.clone()), before)
