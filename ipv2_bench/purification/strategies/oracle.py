"""The uLDCT, and the truth that is aligned with it as target: what purification can reach at best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.errors import InputError
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    from ipv2_bench.data.hu_images import HuImages
    from ipv2_bench.data.slices import SliceSet


@dataclass(frozen=True)
class Oracle(Strategy):
    """The pair ``u → truth``, where the aligned truth is known."""

    summary = "the uLDCT, and the truth that is aligned with it as target"
    needs_truth = True

    def targets(self, slices: SliceSet) -> HuImages:
        """The aligned truth of every slice.

        Raises
        ------
        InputError
            Where it is not known.
        """
        if slices.truth is None:
            raise InputError("the strategy trains on the aligned truth, which is not known: use phantom or virtual_scan")
        return slices.truth
