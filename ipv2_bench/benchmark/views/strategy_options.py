"""What the options of a strategy mean, which its name has in brackets."""

from __future__ import annotations

from collections.abc import Iterable

from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.strategy import Strategy

RULES = {
    "both_outside": "module 1 clears the common mask only where both scans are outside of the body",
    "flood_fill": "module 1 clears the part of the common mask that is connected to the corners",
    "fill_then_or": "the mask of the uLDCT is filled before it is joined with that of the NDCT",
    "or_then_fill": "the masks of uLDCT and NDCT are joined before they are filled",
    "one_corner": "the fill of module 1 starts in one corner",
    "four_corners": "the fill of module 1 starts in all four corners",
    "uint8_wrap": "masks are joined as bytes that overflow, as in the authors' code",
    "logical": "masks are joined by a logical or",
}
"""Choice of a mask rule → what it does."""


def option_words(strategies: Iterable[Strategy]) -> dict[str, str]:
    """Every option in the names of some strategies → what it means."""
    words: dict[str, str] = {}
    for strategy in strategies:
        for name, default in vars(MaskRule()).items():
            choice = getattr(strategy.rule, name)
            if choice != default:
                words[choice] = RULES[choice]
        if strategy.texture_mix:
            share = strategy.texture_mix
            words[f"T={share:g}"] = f"what is kept of the uLDCT is mixed with {100 * share:g} % of the NDCT"
        if strategy.anatomy == "all":
            words["all anatomy"] = "everything but the background comes from the NDCT, not the lung alone"
    return words
