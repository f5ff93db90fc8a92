"""Patches whose binary masks agree are kept as pairs, all others are left out (data cleaning, as PSP does)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.fingerprint import digest
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    import numpy as np

    from ipv2_bench.data.pair import Patches
    from ipv2_bench.data.slices import SliceSet

STRIDE = 8
"""Pixels between the corners of neighbouring patches."""


@dataclass(frozen=True)
class PatchSimilarity(Strategy):
    """The pair ``u → n`` in patches where the dark masks of both agree, after PSP (patch similarity purification, IEEE TIP 2024).

    PSP's code is not public: how similarity is measured is ours, the share of pixels at which D(u) and D(n) agree; side and
    threshold are those that a follow-up states (arXiv 2502.00253).

    Attributes
    ----------
    patch
        Side of a patch in pixels. A batch has as many pixels as with the settings' crops.
    threshold
        Least share of a patch's pixels at which both masks agree, in (0, 1].
    """

    summary = "patches of the uLDCT whose mask agrees with the NDCT's"

    patch: int = 64
    threshold: float = 0.85

    def __post_init__(self) -> None:
        if self.patch < STRIDE or self.patch % STRIDE:
            raise ValueError(f"patch is {self.patch}: expected a multiple of {STRIDE}")
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(f"threshold is {self.threshold}: expected a share above 0 and at most 1")

    def usable(self, slices: SliceSet) -> np.ndarray:
        """The share of each slice's patches that is kept, [n]."""
        return self.patches(slices).kept.mean(axis=(1, 2))

    def training_side(self, size: int, crop: int | None) -> int:
        """Side of a patch, whatever the crops; at most that of the slices."""
        return min(self.patch, size // STRIDE * STRIDE)

    def patches(self, slices: SliceSet) -> Patches:
        """The patches that are kept."""
        from ipv2_bench.data.pair import Patches
        from ipv2_bench.purification import VERSION

        side = self.training_side(slices.size, None)
        name = f"patches-{digest([side, self.threshold, VERSION])}"
        kept = slices.derive(name, lambda i: agreeing(slices.low[i], slices.normal[i], side, self.threshold))
        return Patches(side, STRIDE, kept)


def agreeing(low: np.ndarray, normal: np.ndarray, side: int, threshold: float) -> np.ndarray:
    """Whether the dark masks of two slices [N, N] agree in a square, for squares every 8 pixels, uint8 [rows, columns]."""
    import numpy as np

    from ipv2_bench.purification.masks import dark_mask

    same = (dark_mask(low) == dark_mask(normal)).astype(np.int64)
    # Sums over squares from sums over rectangles that begin at the corner.
    sums = np.pad(same.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    of_squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return (of_squares[::STRIDE, ::STRIDE] >= threshold * side**2).astype(np.uint8)
