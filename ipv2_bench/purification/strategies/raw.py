"""The uLDCT as it is, and the misaligned NDCT as its target."""

from __future__ import annotations

from dataclasses import dataclass

from ipv2_bench.purification.strategy import Strategy


@dataclass(frozen=True)
class Raw(Strategy):
    """The pair ``u → n`` as it was scanned."""

    summary = "the uLDCT as it is"
