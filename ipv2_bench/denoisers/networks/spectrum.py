"""Amplitude and phase of real images and the inverse, with correct gradients where those of autograd are wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("ipv2_bench::amplitude_and_phase", mutates_args=())
def amplitude_and_phase(x: Tensor) -> tuple[Tensor, Tensor]:
    """|z| and arg z of ``z = rfft2(x)``: [B, C, H, W] → twice [B, C, H, W/2+1]; float32 or float64.

    The phase is in (−π, π]. At the bins that are real for a real image, rounding gives an imaginary part of either sign,
    so that a plain ``angle`` would be π or −π there by chance, and results would differ between machines.
    """
    z = torch.fft.rfft2(x)
    phase = z.angle()
    height, width = x.shape[-2:]
    rows = slice(None, None, height // 2) if height % 2 == 0 else slice(0, 1)
    columns = slice(None, None, width // 2) if width % 2 == 0 else slice(0, 1)
    phase[..., rows, columns] = phase[..., rows, columns].abs()
    return z.abs().contiguous(), phase.contiguous()


@torch.library.custom_op("ipv2_bench::amplitude_and_phase_backward", mutates_args=())
def _amplitude_and_phase_backward(
    by_amplitude: Tensor, by_phase: Tensor, amplitude: Tensor, phase: Tensor, width: int
) -> Tensor:
    # In the frame turned by the phase the gradient is dL/d|z| along and dL/darg z / |z| across; arg has none at 0.
    across = torch.where(amplitude > 0, by_phase / amplitude, 0.0)
    cos, sin = phase.cos(), phase.sin()
    g = torch.complex(by_amplitude * cos - across * sin, by_amplitude * sin + across * cos)
    # Adjoint of rfft2: every stored column counts once, but irfft2 counts those inside twice.
    g[..., 1 : (width + 1) // 2] *= 0.5
    return torch.fft.irfft2(make_hermitian_(g, width), s=(g.shape[-2], width), norm="forward").contiguous()


@torch.library.custom_op("ipv2_bench::from_amplitude_and_phase", mutates_args=())
def from_amplitude_and_phase(amplitude: Tensor, phase: Tensor, width: int) -> Tensor:
    """``irfft2(amplitude·exp(i·phase))`` of the Hermitian part: twice [B, C, H, W/2+1] → [B, C, H, W].

    ``amplitude`` may be negative (where the gradient of ``torch.polar`` is wrong), and both may be those of no real image.
    """
    z = torch.complex(phase.cos().mul_(amplitude), phase.sin().mul_(amplitude))
    return torch.fft.irfft2(make_hermitian_(z, width), s=(z.shape[-2], width)).contiguous()


@torch.library.custom_op("ipv2_bench::from_amplitude_and_phase_backward", mutates_args=())
def _from_amplitude_and_phase_backward(gradient: Tensor, amplitude: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    width = gradient.shape[-1]
    g = torch.fft.rfft2(gradient, norm="forward")
    g[..., 1 : (width + 1) // 2] *= 2.0
    cos, sin = phase.cos(), phase.sin()
    along, across = g.real * cos + g.imag * sin, g.imag * cos - g.real * sin
    return along.contiguous(), (amplitude * across).contiguous()


# The operators return contiguous tensors for any input; these shapes and strides are for the compiler.
@amplitude_and_phase.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    half = (*x.shape[:-1], x.shape[-1] // 2 + 1)
    return x.new_empty(half), x.new_empty(half)


@_amplitude_and_phase_backward.register_fake
def _(by_amplitude: Tensor, by_phase: Tensor, amplitude: Tensor, phase: Tensor, width: int) -> Tensor:
    return amplitude.new_empty((*amplitude.shape[:-1], width))


@from_amplitude_and_phase.register_fake
def _(amplitude: Tensor, phase: Tensor, width: int) -> Tensor:
    return amplitude.new_empty((*amplitude.shape[:-1], width))


@_from_amplitude_and_phase_backward.register_fake
def _(gradient: Tensor, amplitude: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    return amplitude.new_empty(amplitude.shape), amplitude.new_empty(amplitude.shape)


def _save_of_amplitude_and_phase(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output)  # the next layers store both anyway
    ctx.width = inputs[0].shape[-1]


def _gradient_of_amplitude_and_phase(ctx: Any, by_amplitude: Tensor, by_phase: Tensor) -> Tensor:
    return _amplitude_and_phase_backward(by_amplitude, by_phase, *ctx.saved_tensors, ctx.width)


def _save_of_inverse(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _gradient_of_inverse(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    return *_from_amplitude_and_phase_backward(gradient, *ctx.saved_tensors), None


amplitude_and_phase.register_autograd(_gradient_of_amplitude_and_phase, setup_context=_save_of_amplitude_and_phase)
from_amplitude_and_phase.register_autograd(_gradient_of_inverse, setup_context=_save_of_inverse)


def make_hermitian_(z: Tensor, width: int) -> Tensor:
    """Make the columns 0 and W/2 of a half spectrum [..., H, W/2+1] those of a real image, in place.

    The result of irfft2 for other columns is not defined; averaging with the mirrored conjugate is what the CPU does, so
    that all devices agree.
    """
    for column in _edges(width):
        edge = z[..., column]
        z[..., column] = 0.5 * (edge + _mirrored(edge))
    return z


def _edges(width: int) -> tuple[int, ...]:
    return (0, width // 2) if width % 2 == 0 else (0,)


def _mirrored(column: Tensor) -> Tensor:
    """Conjugate of a column [..., H] at the negative frequencies."""
    return torch.roll(column.flip(-1), 1, dims=-1).conj_physical()
