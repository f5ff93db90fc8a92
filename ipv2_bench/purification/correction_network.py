"""The network of the strategy ``correction``: it predicts the deformation between a denoiser's estimate and the NDCT."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.physics.intensity import to_network


class CorrectionNetwork(nn.Module):
    """A U-Net of four levels with a displacement for its output, which is zero before training.

    Parameters
    ----------
    width
        Channels at full size; doubled at each of three levels below.
    smoothness
        Weight of the deformation's roughness.
    """

    def __init__(self, width: int = 16, smoothness: float = 0.5) -> None:
        super().__init__()
        self.smoothness = smoothness
        widths = [width * 2**k for k in range(4)]
        self.down = nn.ModuleList(_layers(a, b) for a, b in zip([2, *widths], widths, strict=False))
        self.up = nn.ModuleList(_layers(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.last = nn.Conv2d(width, 2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """``‖x∘φ − n‖₁ + smoothness·‖∇φ‖²`` of an estimate x and the NDCT n, [B, 1, H, W] in [0, 1]; in the networks' range."""
        field = self.displacement(estimate, target)
        return F.l1_loss(to_network(bent(estimate, field)), to_network(target)) + self.smoothness * roughness(field)

    def displacement(self, estimate: Tensor, target: Tensor) -> Tensor:
        """φ − identity in pixels (rows, columns), [B, 2, H, W]."""
        h, passed = torch.cat([estimate, target], dim=1), []
        for level, layers in enumerate(self.down):
            h = layers(h if level == 0 else F.avg_pool2d(h, 2, ceil_mode=True))
            passed.append(h)
        h = passed.pop()
        for layers in self.up:
            beside = passed.pop()
            larger = F.interpolate(h, size=beside.shape[-2:], mode="bilinear", align_corners=False)
            h = layers(torch.cat([larger, beside], dim=1))
        return self.last(h)


def _layers(before: int, after: int) -> nn.Sequential:
    """Two convolutions with leaky rectifiers."""
    both = ((before, after), (after, after))
    return nn.Sequential(*(m for a, b in both for m in (nn.Conv2d(a, b, 3, padding=1), nn.LeakyReLU(0.2))))


def bent(image: Tensor, field: Tensor) -> Tensor:
    """An image [B, 1, H, W] at the places that a displacement [B, 2, H, W] in pixels points to, linear, the border repeated."""
    height, width = image.shape[-2:]
    rows = torch.arange(height, device=image.device, dtype=image.dtype)[None, :, None] + field[:, 0]
    columns = torch.arange(width, device=image.device, dtype=image.dtype)[None, None] + field[:, 1]
    # grid_sample counts from −1 at the outer edge of the first pixel to 1 at that of the last.
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def roughness(field: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, over both directions and both parts of a displacement [B, 2, H, W]."""
    by_row, by_column = field.diff(dim=-2), field.diff(dim=-1)
    return 0.5 * (by_row.square().mean() + by_column.square().mean())
