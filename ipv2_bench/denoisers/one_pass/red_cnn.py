"""RED-CNN (Chen et al., IEEE TMI 36 (2017) 2524, arXiv 1702.00288): one pass of a residual encoder and decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import CRITERIA, Denoiser, chosen


class REDCNN(Denoiser):
    """Five convolutions, five transposed ones, and three shortcuts; not iterative.

    The convolutions are padded, so that the output has the size of the input; the original's are not.

    Parameters
    ----------
    width
        Filters of each layer but the last; the paper's network has 96.
    kernel
        Side of the filters, odd; the paper's are 5.
    criterion
        ``l2``, as published, or ``l1``.
    lr
        The paper's 1e-4.
    options
        See :class:`~ipv2_bench.denoisers.base.Denoiser`.
    """

    version = 1
    title = "RED-CNN"

    def __init__(
        self, width: int = 96, kernel: int = 5, criterion: str = "l2", lr: float = 1e-4, **options: object
    ) -> None:
        super().__init__(lr=lr, **options)  # type: ignore[arg-type]
        if width < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"width is {width} and kernel {kernel}: expected at least 1, and an odd side")
        self.error, half = chosen("criterion", criterion, CRITERIA), kernel // 2
        self.encoder = nn.ModuleList(nn.Conv2d(1 if i == 0 else width, width, kernel, padding=half) for i in range(5))
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(width, 1 if i == 4 else width, kernel, padding=half) for i in range(5)
        )

    def compile_networks(self) -> None:
        """Compile the pass over all layers, which are kept in lists, with torch.compile."""
        self._forward = torch.compile(self._forward)  # type: ignore[method-assign]

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``E‖R(input) − target‖²`` (eq. 6)."""
        return self.error(self._forward(pair.input), pair.target)

    def estimate(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Output of the network."""
        return self._forward(pair.input)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Output of the network, [B, 1, H, W]."""
        return self._forward(low)

    def _forward(self, x: Tensor) -> Tensor:
        shortcuts = [x]
        h = x
        for i, layer in enumerate(self.encoder):
            h = F.relu(layer(h))
            if i in (1, 3):
                shortcuts.append(h)
        for i, layer in enumerate(self.decoder):
            h = layer(h)
            if i % 2 == 0:
                h = h + shortcuts.pop()
            h = F.relu(h)
        return h
