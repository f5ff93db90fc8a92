"""Self-supervision by Neighbor2Neighbor: two images of half the size from neighbouring pixels of the uLDCT alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.purification.strategy import Strategy, cut_side

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ipv2_bench.data.pair import Pair, TrainingPair

NEIGHBOURS = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 3), (3, 1), (2, 3), (3, 2))
"""Places of two neighbours in a cell of 2×2 pixels, which are counted row by row, in either order."""


@dataclass(frozen=True)
class Neighbor2Neighbor(Strategy):
    """The pair ``g₁(u) → g₂(u)`` of Neighbor2Neighbor (Huang et al., CVPR 2021, arXiv 2101.02824, §3.2).

    In each cell of 2×2 pixels of u two neighbours are drawn; the first ones make the input, the second ones the target, both with
    half of the size. It is the loss without the paper's regulariser (γ = 0), which needs the denoised image and so asks for a
    denoiser in one pass. It supposes that the noise of neighbouring pixels is independent, which that of a filtered
    back-projection is not.
    """

    summary = "one half of the uLDCT's pixels, and their neighbours as target; no NDCT"
    draws = True

    def training_side(self, size: int, crop: int | None) -> int:
        """Side of the crops, or half of the slices'."""
        return cut_side(size // 2, crop)

    def training_pair(
        self,
        pair: Pair,
        add_noise: Callable[[Tensor], Tensor] | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> TrainingPair:
        """``g₁(u) → g₂(u)``, [B, 1, N/2, N/2]; an odd last row or column is left out.

        Raises
        ------
        ValueError
            When no generators are given.
        """
        import torch

        from ipv2_bench.data.pair import TrainingPair

        if generators is None:
            raise ValueError(f"strategy {self.name} draws: give a generator for each slice")
        device, (height, width) = pair.low.device, (n // 2 * 2 for n in pair.low.shape[-2:])
        # [B, 4, N/2, N/2]: the pixels of each cell, row by row.
        cells = torch.nn.functional.pixel_unshuffle(pair.low[..., :height, :width], 2)
        drawn = torch.stack(
            [torch.randint(len(NEIGHBOURS), cells.shape[-2:], generator=g, device=device) for g in generators]
        )
        places = torch.tensor(NEIGHBOURS, device=device)[drawn]  # [B, N/2, N/2, 2]
        first, second = (cells.gather(1, places[..., k][:, None]) for k in (0, 1))
        return TrainingPair(first, second)
