"""Registration first: the NDCT is warped to the uLDCT, slice by slice or series by series, before training."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    import numpy as np

    from ipv2_bench.data.slices import SliceSet

logger = logging.getLogger("ipv2_bench")


@dataclass(frozen=True)
class Registered(Strategy):
    """The pair ``u → n∘φ``, with φ of cubic B-splines, offline, once for each slice or series.

    See :func:`ipv2_bench.purification.registration.registration`.

    Attributes
    ----------
    grid_mm
        Pixels in which the motion is sought, in mm; never smaller than those of the slices.
    smooth
        Standard deviation of the Gaussian that both slices are smoothed with, in such pixels.
    knots_mm
        Distance of the splines' knots in mm; larger means a smoother motion.
    folded
        Largest share of pixels at which the motion may fold (its Jacobian is not positive); slices with more are left out.
    dimensions
        2 for each slice on its own, 3 for each series as a volume, which needs slices in order.
    slice_mm
        Distance of neighbouring slices of a series in mm, which slice sets do not keep; for 3 dimensions, which need it.
    """

    summary = "the uLDCT, and the NDCT that is registered to it"

    grid_mm: float = 3.0
    smooth: float = 1.0
    knots_mm: float = 40.0
    folded: float = 0.02
    dimensions: int = 2
    slice_mm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("grid_mm", "knots_mm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if self.smooth < 0 or not 0 <= self.folded <= 1:
            raise ValueError(f"smooth is {self.smooth} and folded {self.folded}: expected 0 or more, and a share up to 1")
        if self.dimensions not in (2, 3):
            raise ValueError(f"dimensions is {self.dimensions}: expected 2 or 3")
        if self.slice_mm < 0 or (self.dimensions == 3) != (self.slice_mm > 0):
            raise ValueError(
                f"slice_mm is {self.slice_mm}: expected the distance of neighbouring slices in mm with dimensions=3, and 0 with 2"
            )

    def targets(self, slices: SliceSet) -> np.ndarray:
        """The registered NDCT of every slice, [n, N, N] float32 in [0, 1]."""
        from ipv2_bench.purification.registration import warped, warped_in_series

        motion = self.motion(slices)
        series = {i: own for own in self._series(slices) for i in own} if self.dimensions == 3 else {}

        def of_slice(i: int) -> np.ndarray:
            if self.dimensions == 2:
                return warped(slices.normal[i], motion[i])
            return warped_in_series(slices.normal, i, motion[i], series[i])

        return slices.derive(f"registered-{self._digest}", of_slice)

    def usable(self, slices: SliceSet) -> np.ndarray:
        """1 for a slice whose motion does not fold, or hardly, and 0 for others, [n]; how much folds is told."""
        import numpy as np

        shares = self.folded_shares(slices)
        left_out = shares[shares > self.folded]
        if len(left_out):
            logger.warning(
                "registered: the motion of %d of %d slices folds at %.2g to %.2g %% of the pixels; they are left out",
                len(left_out), len(shares), 100 * left_out.min(), 100 * left_out.max(),
            )  # fmt: skip
        return np.where(shares > self.folded, 0.0, 1.0)

    def folded_shares(self, slices: SliceSet) -> np.ndarray:
        """Share of the pixels of each slice at which its motion folds, [n]."""
        import numpy as np

        from ipv2_bench.purification.registration import folds

        motion = self.motion(slices)
        if self.dimensions == 2:
            return np.array([folds(m).mean() for m in motion])
        parts = [folds(np.moveaxis(motion[series], 1, 0)).mean(axis=(1, 2)) for series in self._series(slices)]
        return np.concatenate(parts)

    def motion(self, slices: SliceSet) -> np.ndarray:
        """From each pixel of a grid of about ``grid_mm`` to its place in the NDCT, float32.

        [n, 2, k, k] (rows, columns) in pixels of that grid, N/k of the slices'; with 3 dimensions [n, 3, k, k], slices first.
        """
        from ipv2_bench.purification.registration import registration

        k, knots = self.grid(slices)
        make: Callable[[int], np.ndarray]
        if self.dimensions == 2:

            def make(i: int) -> np.ndarray:
                return registration(slices.low[i], slices.normal[i], k, self.smooth, (knots, knots))

        else:
            make = self._of_series(slices, k, knots)
        return slices.derive(f"motion-{self._digest}", make)

    def _of_series(self, slices: SliceSet, k: int, knots: int) -> Callable[[int], np.ndarray]:
        """The motion of a slice out of that of its series, which is registered once."""
        from ipv2_bench.purification.registration import registration

        one = threading.Lock()  # slices of a series are asked for by several threads

        @lru_cache(maxsize=2)  # threads cross from one series into the next
        def of(first: int, last: int) -> np.ndarray:
            through = max(1, round((last - first) * self.slice_mm / self.knots_mm))
            low, normal = slices.low[first : last + 1], slices.normal[first : last + 1]
            pixel = slices.size * float(slices.pixel_mm[first]) / k
            return registration(low, normal, k, self.smooth, (through, knots, knots), self.slice_mm / pixel)

        series = {i: own for own in self._series(slices) for i in own}

        def of_slice(i: int) -> np.ndarray:
            own = series[i]
            with one:
                return of(own[0], own[-1])[:, i - own[0]]

        return of_slice

    def _series(self, slices: SliceSet) -> list[list[int]]:
        """Indices of the slices of each series, in order.

        Raises
        ------
        InputError
            When slices have no order, or a series is too short.
        """
        from ipv2_bench.purification.registration import FEWEST

        if not all(slices.stack) or len(slices.stack) != len(slices):
            raise InputError(
                "strategy registered with dimensions=3 needs slices in order, as data.source=virtual_scan or paired_dicom have "
                "them: use dimensions=2"
            )
        series: list[list[int]] = []
        for i, label in enumerate(slices.stack):
            if series and slices.stack[series[-1][0]] == label:
                series[-1].append(i)
            else:
                series.append([i])
        short = [s for s in series if len(s) < FEWEST]
        if short:
            raise InputError(
                f"strategy registered with dimensions=3 needs series of {FEWEST} slices, and slice {slices.key[short[0][0]]} is "
                f"in one of {len(short[0])} ({len(short)} such): use dimensions=2, or more slices of each patient"
            )
        return series

    def grid(self, slices: SliceSet) -> tuple[int, int]:
        """Pixels along a side of the grid, and intervals of the splines."""
        import numpy as np

        side_mm = slices.size * float(np.median(slices.pixel_mm))
        return max(16, min(slices.size, round(side_mm / self.grid_mm))), max(2, round(side_mm / self.knots_mm))

    @property
    def _digest(self) -> str:
        in_series = [self.dimensions, self.slice_mm] if self.dimensions == 3 else []
        return digest([self.version, self.grid_mm, self.smooth, self.knots_mm, *in_series])
