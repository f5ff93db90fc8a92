"""3×3 convolutions by Winograd's minimal filtering F(4×4, 3×3): 36 products instead of 144, for sampling on a CPU.

Lavin and Gray, arXiv 1509.09308. In exact arithmetic it is the convolution; in float32 its rounding error is about four times
that of the direct sum on a CPU with AVX2, and eight times with AVX-512, whose direct sum is more exact. All of the work is
matrix products, which run at full speed in the CPU's BLAS.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Interpolation points 0, ±1, ±2 and ∞ (their equation 12, and appendix): output AᵀMA, input BᵀdB, weights GgGᵀ.
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)
_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_WEIGHT = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
) / torch.tensor(24.0, dtype=torch.float64)
_BOTH = {name: torch.kron(m, m) for name, m in (("output", _OUTPUT), ("input", _INPUT), ("weight", _WEIGHT))}

MIN_CHANNELS = 64
"""Smallest geometric mean of input and output channels at which this form was measured to be faster."""

MIN_OUT_CHANNELS_LAST = 128
"""Fewest output channels at which it was faster with channels last, where the direct sum is faster as well."""

MIN_TILES = 64
"""Smallest number of tiles: below it, reading the transformed weights, four times as large, costs more than it saves."""

BLOCK = 128
"""Tiles per matrix product: enough for its speed, few enough to stay in the cache."""


class Conv3x3(nn.Conv2d):
    """A 3×3 convolution with padding 1 that uses Winograd's form where that is faster: without gradient, on a CPU."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)
        self._transformed: tuple[Tensor, Tensor] | None = None  # weights, and the same transformed

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, [B, in_channels, H, W] → [B, out_channels, H, W]."""
        if not self._winograd_is_faster(x):
            return super().forward(x)
        weight = self.weight.detach()
        # Averaging of weights writes through ``.data``, which torch's version counter does not count, so values are
        # compared; that costs little beside the convolution.
        known = self._transformed
        if known is None or known[0].dtype != weight.dtype or not torch.equal(known[0], weight):
            known = self._transformed = (weight.clone(), transformed_weight(weight))
        return winograd(x, known[1], self.bias)

    def _winograd_is_faster(self, x: Tensor) -> bool:
        return (
            not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and not torch.is_autocast_enabled("cpu")
            and x.device.type == "cpu"
            and x.dtype in (torch.float32, torch.float64)
            and x.shape[-1] % 4 == 0
            and x.shape[-2] % 4 == 0
            and x.shape[0] * x.shape[2] * x.shape[3] >= 16 * MIN_TILES
            and self.in_channels * self.out_channels >= MIN_CHANNELS**2
            and (self.out_channels >= MIN_OUT_CHANNELS_LAST or not has_channels_last(x))
        )

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_transformed": None}


def channels_last(x: Tensor) -> Tensor:
    """A copy with memory order [B, H, W, C], also for one channel, where the orders differ in the strides alone."""
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def has_channels_last(x: Tensor) -> bool:
    """Whether the memory order of ``x`` is [B, H, W, C]; with one channel both orders are the same, and this is ``False``."""
    return x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last)


def transformed_weight(weight: Tensor) -> Tensor:
    """Weights in Winograd's form, [D, C, 3, 3] → [36, D, C]."""
    flat = weight.flatten(2).permute(2, 0, 1).reshape(9, -1)
    return (_BOTH["weight"].to(weight.dtype) @ flat).view(36, *weight.shape[:2])


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """3×3 convolution with padding 1.

    Parameters
    ----------
    x
        [B, C, H, W], H and W multiples of 4.
    weight
        Transformed, [36, D, C].
    bias
        [D].

    Returns
    -------
    Tensor
        [B, D, H, W], in the memory order of ``x``.
    """
    batch, in_channels, height, width = x.shape
    out_channels, high, wide = weight.shape[1], height // 4, width // 4
    last = has_channels_last(x)
    out = torch.empty(
        (batch, out_channels, height, width),
        dtype=x.dtype,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )
    source, target = _tiles(F.pad(x, (1, 1, 1, 1)), 6, high, wide, last), _tiles(out, 4, high, wide, last)
    shift = x.new_zeros(out_channels) if bias is None else bias
    if not last:
        shift = shift[:, None, None, None]
    to_frequencies, to_pixels = _BOTH["input"].to(x.dtype), _BOTH["output"].to(x.dtype)
    rows = max(1, BLOCK // (batch * wide))
    for first in range(0, high, rows):
        count = min(rows, high - first)
        block, into = (tiles.narrow(3 if last else 4, first, count) for tiles in (source, target))
        if first == 0 or count < rows:  # the same memory for all blocks, but for a smaller last one
            n = batch * count * wide
            gathered, pixels = x.new_empty(block.shape), x.new_empty(into.shape)
            frequencies, products = (
                x.new_empty((36, n, c) if last else (36, c, n)) for c in (in_channels, out_channels)
            )
        gathered.copy_(block)
        torch.mm(to_frequencies, gathered.view(36, -1), out=frequencies.view(36, -1))
        if last:
            torch.bmm(frequencies, weight.transpose(1, 2), out=products)
        else:
            torch.bmm(weight, frequencies, out=products)
        torch.mm(to_pixels, products.view(36, -1), out=pixels.view(16, -1))
        torch.add(pixels, shift, out=into)
    return out


def _tiles(x: Tensor, size: int, high: int, wide: int, last: bool) -> Tensor:
    """Tiles of an image, one every 4 pixels, as a view: [size, size, C, B, high, wide], or with C last if ``last``."""
    b, c, r, k = x.stride()
    if last:
        return x.as_strided((size, size, len(x), high, wide, x.shape[1]), (r, k, b, 4 * r, 4 * k, c))
    return x.as_strided((size, size, x.shape[1], len(x), high, wide), (r, k, c, b, 4 * r, 4 * k))
