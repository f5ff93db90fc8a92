"""Sharpness of the border between lung and soft tissue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure

if TYPE_CHECKING:
    from ipv2_bench.metrics.lung_border import LungBorder

MATCHED = 5.0
"""Distance from the border in pixels up to which an image is compared with the displaced truth."""

TRIAL = 0.25
"""Step in pixels between the displacements that are tried; the best one is refined by a parabola."""


class LungEdge(TruthMeasure):
    """Modulation transfer across the lung's border: Fourier transform of the slope of the profile over all slices.

    The border is measured in pieces. Each piece of an image is moved by a subpixel shift onto the truth's before the pieces
    are averaged, so that a misplaced border does not count as blur.
    """

    version = 3
    order = 50
    summed = ("edge", "edge_count", "edge_truth", "edge_truth_count")
    columns = (
        Column(
            "edge_mtf50", "lung border MTF50 / truth", None, "detail", 1.0, ("truth",), scale="log",
            explanation="Frequency at which the transfer across the lung's border falls to one half, over that of the "
            "truth: 1 is as sharp as the truth, wherever the border is.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Sum of HU and number of pixels in each bin of distance, of image and truth, with their pieces aligned.

        NaN where the slice shows no border.
        """
        from ipv2_bench.metrics.lung_border import REACH, STEP, bins

        border = truth.anatomy.lung_border
        if not len(border.pixels):
            return {name: np.full(bins(), np.nan) for name in self.summed}
        shifts = piece_shifts(hu, truth.hu, border)
        statistics: Statistics = {}
        for name, image, shift in (("edge", hu, shifts), ("edge_truth", truth.hu, np.zeros_like(shifts))):
            number = np.floor((border.distance - shift[border.piece] + REACH) / STEP).astype(int)
            use = (number >= 0) & (number < bins())
            values = image.ravel()[border.pixels[use]].astype(np.float64)
            statistics[name] = np.bincount(number[use], weights=values, minlength=bins())
            statistics[f"{name}_count"] = np.bincount(number[use], minlength=bins()).astype(np.float64)
        return statistics

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        sharp, true = (mtf50(statistics[name], statistics[f"{name}_count"]) for name in ("edge", "edge_truth"))
        return {"edge_mtf50": sharp / true}


def piece_shifts(hu: np.ndarray, truth_hu: np.ndarray, border: LungBorder) -> np.ndarray:
    """How far each piece of an image's border is displaced into the tissue, in pixels, [pieces].

    The truth is displaced along the normal of the border in small steps; the shift is the one at which its pixels near a piece
    correlate best with those of the image, whatever the image's contrast and bias.

    Parameters
    ----------
    hu, truth_hu
        Image and truth in HU, [N, N] each.
    border
        Of the truth.
    """
    from scipy import ndimage

    from ipv2_bench.metrics.lung_border import LARGEST_SHIFT

    pieces = int(border.piece.max()) + 1
    near = np.abs(border.distance) <= MATCHED
    piece, normal = border.piece[near], border.normal[:, near]
    at = np.stack(np.unravel_index(border.pixels[near], hu.shape)).astype(np.float64)
    coefficients = ndimage.spline_filter(truth_hu.astype(np.float64))
    trials = np.linspace(-LARGEST_SHIFT, LARGEST_SHIFT, 1 + round(2.0 * LARGEST_SHIFT / TRIAL))
    images = [x.ravel()[border.pixels[near]].astype(np.float64) for x in (hu, truth_hu)]
    correlations = np.zeros((2, len(trials), pieces))
    for k, trial in enumerate(trials):
        displaced = ndimage.map_coordinates(coefficients, at - trial * normal, prefilter=False, mode="nearest")
        for correlation, image in zip(correlations, images, strict=True):
            correlation[k] = _correlation(image, displaced, piece, pieces)
    own, true = (_best(correlation, trials) for correlation in correlations)
    # The shift of the truth itself is the error of the parabola, which both share.
    return own - true


def _correlation(a: np.ndarray, b: np.ndarray, piece: np.ndarray, pieces: int) -> np.ndarray:
    """Correlation coefficient of two sets of pixels [k] in each piece, [pieces]; 0 where one of them is constant."""

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(piece, weights=values, minlength=pieces)

    n = np.maximum(np.bincount(piece, minlength=pieces), 1)
    a, b = a - (sums(a) / n)[piece], b - (sums(b) / n)[piece]
    spread = np.sqrt(sums(a * a) * sums(b * b))
    return np.divide(sums(a * b), spread, out=np.zeros(pieces), where=spread > 0)


def _best(correlation: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Displacement at which the correlation [trials, pieces] is largest, between two trials by a parabola, [pieces]."""
    highest = np.argmax(correlation, axis=0)
    middle = np.clip(highest, 1, len(trials) - 2)
    before, at, after = np.take_along_axis(correlation, np.stack([middle - 1, middle, middle + 1]), axis=0)
    curvature = before - 2.0 * at + after
    offset = np.divide(0.5 * (before - after), curvature, out=np.zeros(len(at)), where=curvature < 0)
    refined = trials[middle] + (trials[1] - trials[0]) * np.clip(offset, -0.5, 0.5)
    return np.where(highest == middle, refined, trials[highest])


def mtf50(total: np.ndarray, count: np.ndarray) -> float:
    """Frequency in 1/pixel at which the transform of the border's slope falls to one half.

    NaN without a border, or where a bin less than five pixels away from it is empty.

    Parameters
    ----------
    total, count
        Sum of HU and number of pixels in each bin of distance, both [k].
    """
    from ipv2_bench.metrics.lung_border import STEP

    # Structure far from the border is no part of its slope: the last two pixels on either side fade, and small lungs lack them.
    fade = round(2.0 / STEP)
    filled = count >= 1
    if not filled[fade:-fade].all():
        return float("nan")
    bins = np.arange(len(count))
    slope = np.diff(np.interp(bins, bins[filled], total[filled] / count[filled]))
    last = len(slope)
    slope = slope * np.interp(np.arange(last), (-1, fade, last - 1 - fade, last), (0.0, 1.0, 1.0, 0.0))
    padded = 16 * last
    transfer = np.abs(np.fft.rfft(slope, padded))
    if transfer[0] <= 0:
        return float("nan")
    below = np.flatnonzero(transfer < 0.5 * transfer[0])
    if not len(below):
        return float("nan")
    k = below[0]
    # Between two samples, by a straight line.
    part = (transfer[k - 1] - 0.5 * transfer[0]) / (transfer[k - 1] - transfer[k])
    return float((k - 1 + part) / (padded * STEP))
