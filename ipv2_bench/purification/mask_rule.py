"""Options of the masks. Needs neither scipy nor scikit-image, so that strategies can be named without them."""

from __future__ import annotations

from dataclasses import dataclass

from ipv2_bench.registry import suggestion


@dataclass(frozen=True)
class MaskRule:
    """Choices where the paper and the authors' code differ.

    The defaults are the code's, and the paper's where the code has a bug.

    Attributes
    ----------
    background
        Rule of module 1. ``flood_fill`` (published): the part of the mask that is connected to the seeds is cleared.
        ``both_outside`` (ours): the mask is cleared only where both scans are outside of the body. The published
        rule also clears the rim that is body in one scan and air in the other, and so pairs misaligned pixels.
    order
        ``or_then_fill`` (code): fill the common mask. ``fill_then_or`` (paper, §3.1): fill the mask of the uLDCT
        (ultra-low-dose CT), then OR with that of the NDCT (normal-dose CT), which puts the background back.
    seeds
        ``four_corners`` (paper) or ``one_corner`` (code) where the fill starts.
    union
        ``logical``, or ``uint8_wrap`` (bug of the code: 255 + 255 wraps to 254, weight 0.996).

    Raises
    ------
    ValueError
        For an unknown choice; the valid ones are listed.
    """

    background: str = "flood_fill"
    order: str = "or_then_fill"
    seeds: str = "four_corners"
    union: str = "logical"

    def __post_init__(self) -> None:
        for name, valid in {
            "background": ("flood_fill", "both_outside"),
            "order": ("or_then_fill", "fill_then_or"),
            "seeds": ("four_corners", "one_corner"),
            "union": ("logical", "uint8_wrap"),
        }.items():
            value = getattr(self, name)
            if value not in valid:
                raise ValueError(f"{name} '{value}' is unknown: {suggestion(value, valid)}use one of {', '.join(valid)}")
