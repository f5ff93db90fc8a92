"""EDCNN (Liang et al., ICSP 2020, arXiv 2011.00139): edges of learned strength, dense connections, and a perceptual loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench import registry
from ipv2_bench.backbones.base import PACKAGE as BACKBONES
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.shared.perceptual import perceptual_distance

BLOCKS = 8


class EDCNN(Denoiser):
    """Eight blocks of a 1×1 and a 3×3 convolution, each of which sees the input and its edges again; not iterative.

    Parameters
    ----------
    width
        Channels of the blocks, and filters for edges, a multiple of 4; the paper's 32.
    perceptual
        Weight of the perceptual loss beside the mean squared error; the paper's 0.01. With 0 no backbone is needed.
    backbone
        Network of the perceptual loss. The paper's is ResNet-50, whose weights are not everywhere.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "EDCNN"

    def __init__(
        self, width: int = 32, perceptual: float = 0.01, backbone: str = "efficientnet_lite0", **options: object
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if width < 4 or width % 4:
            raise ValueError(f"width is {width}: expected a multiple of 4")
        if perceptual < 0:
            raise ValueError(f"perceptual is {perceptual}: expected 0 or more")
        if perceptual:
            registry.refuse_unknown(BACKBONES, backbone, "backbone")
        self.perceptual, self.backbone = perceptual, backbone
        self.edges = Edges(width)
        seen = 1 + width  # the input and its edges
        self.point = nn.ModuleList(nn.Conv2d(seen + (width if i else 0), width, 1) for i in range(BLOCKS))
        self.area = nn.ModuleList(nn.Conv2d(width, width if i < BLOCKS - 1 else 1, 3, padding=1) for i in range(BLOCKS))

    def compile_networks(self) -> None:
        """Compile the pass over all blocks, which are kept in lists, with torch.compile."""
        self._forward = torch.compile(self._forward)  # type: ignore[method-assign]

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``‖F(x) − y‖² + perceptual·Σ_s ‖φ_s(F(x)) − φ_s(y)‖²/S`` (eq. 1–3), means over pixels and over S scales."""
        output = self._forward(pair.input)
        loss = F.mse_loss(output, pair.target)
        if self.perceptual:
            loss = loss + self.perceptual * perceptual_distance(output, pair.target, self.backbone)
        return loss

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Output of the network."""
        return self._forward(pair.input)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Output of the network, [B, 1, H, W]."""
        return self._forward(low)

    def _forward(self, x: Tensor) -> Tensor:
        seen = torch.cat([x, self.edges(x)], dim=1)
        h = seen
        for i, (point, area) in enumerate(zip(self.point, self.area, strict=True)):
            h = area(F.relu(point(h)))
            if i < BLOCKS - 1:
                h = torch.cat([seen, F.relu(h)], dim=1)
        return F.relu(x + h)


class Edges(nn.Module):
    """Sobel filters of four directions, each many times with a strength of its own that is learned.

    Parameters
    ----------
    filters
        Their number, a multiple of 4.
    """

    directions: Tensor

    def __init__(self, filters: int) -> None:
        super().__init__()
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        diagonal = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]])
        directions = torch.stack([across, across.T, diagonal, diagonal.flip(-1)])
        self.register_buffer("directions", directions.repeat(filters // 4, 1, 1)[:, None], persistent=False)
        self.strength = nn.Parameter(torch.ones(filters, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(filters))

    def forward(self, x: Tensor) -> Tensor:
        """Edges of images [B, 1, H, W], [B, filters, H, W]."""
        return F.conv2d(x, self.strength * self.directions, self.bias, padding=1)
