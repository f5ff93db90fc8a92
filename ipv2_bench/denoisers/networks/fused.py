"""Cheaper forms of parts of the networks, equal in exact arithmetic, and the order of memory that is fastest."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def fast_order(x: Tensor) -> Tensor:
    """The same image [B, C, H, W] in the order of memory [B, H, W, C] on a CPU, where it was measured to be faster in training
    and in sampling; as it is on any other device, whose order ``train.channels_last`` chooses.
    """
    if x.device.type != "cpu":
        return x
    # A copy, since for one channel the two orders differ in the strides alone, by which the convolutions go.
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def norm_act(x: Tensor, norm: nn.Module, activation: str = "silu") -> Tensor:
    """``silu(norm(x))`` or ``gelu(norm(x))``, [B, C, H, W].

    On a GPU with only ``x`` stored for the gradient, which halves the memory of a training at the paper's size. On a CPU that
    takes more time than it is worth, and the compiler fuses both by itself.
    """
    if x.device.type == "cpu" or torch.compiler.is_compiling():
        return _ACTIVATIONS[activation][0](norm(x).to(x.dtype))
    return norm_act_stored_once(x, norm, activation)


def norm_act_stored_once(x: Tensor, norm: nn.Module, activation: str) -> Tensor:
    """:func:`norm_act` with only ``x`` stored: the activation works in place on the normalised map, which the backward pass
    recomputes.
    """
    assert isinstance(norm, nn.GroupNorm)
    return _NormAct.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps, activation)


_ACTIVATIONS: dict[str, tuple[Any, Any, Any]] = {
    "silu": (F.silu, torch.ops.aten.silu_, torch.ops.aten.silu_backward),
    "gelu": (F.gelu, torch.ops.aten.gelu_, torch.ops.aten.gelu_backward),
}


class _NormAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, activation: str) -> Tensor:
        wide = x if x.dtype == weight.dtype else x.to(weight.dtype)  # half precision under autocast
        shape = (x.shape[0], x.shape[1], x[0, 0].numel(), groups)
        y, mean, rstd = torch.native_group_norm(_for_group_norm(wide), weight, bias, *shape, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.shape, ctx.activation = shape, activation
        activated = _ACTIVATIONS[activation][1](y)
        return activated.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        wide, gradient = x.to(weight.dtype), gradient.to(weight.dtype)
        _, channels, _, groups = ctx.shape
        spread = rstd.repeat_interleave(channels // groups, dim=1)
        scale = spread * weight
        shift = bias - mean.repeat_interleave(channels // groups, dim=1) * scale
        y = torch.addcmul(shift[:, :, None, None], wide, scale[:, :, None, None])
        inner = _ACTIVATIONS[ctx.activation][2](gradient.contiguous(), y)
        needed = list(ctx.needs_input_grad[:3])
        gradients = torch.ops.aten.native_group_norm_backward(
            inner, _for_group_norm(wide), mean, rstd, weight, *ctx.shape, needed
        )
        by_x = None if gradients[0] is None else gradients[0].to(x.dtype)
        return by_x, *gradients[1:], None, None, None


def _for_group_norm(x: Tensor) -> Tensor:
    """The map in the order of memory that the kernel takes: on a GPU it refuses channels last."""
    return x.contiguous() if x.is_cuda else x


def upsample_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Nearest ×2 and a 3×3 convolution, as one transposed convolution: 16 products instead of 36, no fine map in between.

    Parameters
    ----------
    x
        [B, C, H, W].
    weight, bias
        Of the 3×3 convolution, [D, C, 3, 3] and [D].

    Returns
    -------
    Tensor
        [B, D, 2H, 2W].
    """
    # An even fine row is a sum of the coarse rows i−1 and i with weights (w0, w1 + w2), an odd one i and i+1 with (w0 + w1, w2):
    # a transposed convolution of stride 2 with the kernel (w2, w1 + w2, w0 + w1, w0).
    kernel = _four_taps(_four_taps(weight, 2), 3).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def _four_taps(weight: Tensor, dim: int) -> Tensor:
    a, b, c = weight.unbind(dim)
    return torch.stack([c, b + c, a + b, a], dim=dim)
