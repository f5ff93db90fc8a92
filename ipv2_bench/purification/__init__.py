"""Image purification (arXiv 2602.19314): masks, the three modules and the lattice of strategies.

Importing this package imports neither torch nor scipy; the mask functions are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipv2_bench.purification.masks import common_mask, dark_mask

__all__ = ["VERSION", "MaskRule", "Strategy", "common_mask", "dark_mask"]

VERSION = 2
"""Version of the purification: raise when the same slices, strategy and noise give other masks, inputs or labels."""


def __getattr__(name: str) -> Callable:
    """``common_mask`` and ``dark_mask``, whose module needs scipy and scikit-image."""
    if name not in ("common_mask", "dark_mask"):
        raise AttributeError(f"module {__name__} has no attribute '{name}'")
    from ipv2_bench.purification import masks

    return getattr(masks, name)
