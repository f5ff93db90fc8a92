"""Image purification (arXiv 2602.19314): masks, the three modules and the lattice of strategies."""

from ipv2_bench.purification.masks import MaskRule, common_mask, dark_mask
from ipv2_bench.purification.strategy import STRATEGIES, Strategy

__all__ = ["STRATEGIES", "MaskRule", "Strategy", "common_mask", "dark_mask"]
