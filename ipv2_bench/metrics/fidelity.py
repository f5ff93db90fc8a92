"""Fidelity to the aligned truth, where it is known, slice by slice.

Measures that are means over slices come as numbers; those that only many slices together give (the noise power spectrum,
the profile of the lung's border) as curves, from which :func:`from_curves` takes the numbers.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from ipv2_bench.metrics.anatomy import EDGE_STEP, LEAST_PIXELS, REGIONS, Anatomy, edge_bins
from ipv2_bench.physics.intensity import Window

NPS_BINS = 24
"""Bins of frequency from 0 to 0.5 per pixel."""

TREND_PX = 6.0
LOWEST_BIN = 3
"""First bin that counts as noise, from 1/16 per pixel: slower errors are bias and misplaced structure."""


def fidelity(image: np.ndarray, truth: np.ndarray, window: Window, where: Anatomy) -> dict[str, float]:
    """Compare one slice with its truth, both [N, N] in [0, 1].

    Returns
    -------
    dict
        ``psnr_db`` (over the window), ``ssim`` (Wang et al. 2004: Gaussian weights of σ 1.5), ``rmse_hu``;
        ``rmse_hu_rim``, that of the body's rim; for each region ``noise_hu_*`` (standard deviation of the error) and
        ``bias_hu_*`` (its mean); ``nodule_cnr``, contrast of a nodule to the lung around it over the standard deviation
        of the error there, and ``nodule_contrast``, that contrast over the truth's (1 is kept, 0 is gone), means over
        nodules. NaN where a slice lacks what is measured.
    """
    error = (image - truth).astype(np.float64) * window.width
    mse = float((error**2).mean())
    result = {
        "psnr_db": 10.0 * np.log10(window.width**2 / max(mse, 1e-12)),
        "ssim": float(
            structural_similarity(
                image, truth, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
        ),
        "rmse_hu": float(np.sqrt(mse)),
        "rmse_hu_rim": _over(error[where.rim], lambda e: np.sqrt((e**2).mean())),
    }
    for name in REGIONS:
        inside = error[where.regions[name]]
        result[f"noise_hu_{name}"] = _over(inside, np.std)
        result[f"bias_hu_{name}"] = _over(inside, np.mean)
    ratios, contrasts = [], []
    for nodule in where.nodules:
        contrast, true = (
            (x[nodule.inside].mean(dtype=np.float64) - x[nodule.around].mean(dtype=np.float64)) * window.width
            for x in (image, truth)
        )
        ratios.append(contrast / max(error[nodule.around].std(), 1e-3))
        contrasts.append(contrast / true)
    result["nodule_cnr"] = float(np.mean(ratios)) if ratios else float("nan")
    result["nodule_contrast"] = float(np.mean(contrasts)) if contrasts else float("nan")
    return result


def _over(values: np.ndarray, measure: object) -> float:
    return float(measure(values)) if values.size >= LEAST_PIXELS else float("nan")  # type: ignore[operator]


def curves(image: np.ndarray, truth: np.ndarray, window: Window, where: Anatomy) -> dict[str, np.ndarray]:
    """Curves of one slice [N, N] in [0, 1], to be averaged over slices.

    Returns
    -------
    dict
        ``nps``: radial power of the error in the lung in HU² px² over :data:`NPS_BINS`, NaN without lung; ``edge``:
        sum of HU in each bin of distance to the lung's border, ``edge_truth`` the same of the truth, and ``edge_count``.
    """
    found = {"nps": noise_power((image - truth).astype(np.float64) * window.width, where.regions["lung"])}
    for name, x in (("edge", image), ("edge_truth", truth)):
        hu = window.hu(x.astype(np.float64)).ravel()[where.edge_pixels]
        found[name] = np.bincount(where.edge_bins, weights=hu, minlength=edge_bins())
    found["edge_count"] = np.bincount(where.edge_bins, minlength=edge_bins()).astype(np.float64)
    return found


def noise_power(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Radial mean of the power spectrum of ``error`` [N, N] inside ``mask``, [NPS_BINS], without its slow part.

    The local mean (a Gaussian of 6 pixels inside the mask) is taken away first: bias and misplaced structure would leak
    over the mask's edge into every frequency. Normalised so that white noise of variance σ² gives σ² in every bin from
    :data:`LOWEST_BIN` on.
    """
    if mask.sum() < LEAST_PIXELS:
        return np.full(NPS_BINS, np.nan)
    held = np.where(mask, error, 0.0)
    weight_near = ndimage.gaussian_filter(mask.astype(np.float64), TREND_PX)
    local = ndimage.gaussian_filter(held, TREND_PX) / np.maximum(weight_near, 1e-6)
    masked = np.where(mask, error - local, 0.0)
    n = len(error)
    power = np.abs(np.fft.rfft2(masked)) ** 2 / mask.sum()
    radius = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None])
    ring = np.minimum((radius * 2 * NPS_BINS).astype(int), NPS_BINS).ravel()
    # Columns but the first and last of a real transform stand for two.
    twice = np.where((np.arange(power.shape[1]) > 0) & (np.arange(power.shape[1]) < n / 2), 2.0, 1.0)
    weight = np.broadcast_to(twice, power.shape).ravel()
    counted = np.bincount(ring, weights=weight, minlength=NPS_BINS + 1)[:NPS_BINS]
    summed = np.bincount(ring, weights=weight * power.ravel(), minlength=NPS_BINS + 1)[:NPS_BINS]
    return np.divide(summed, counted, out=np.full(NPS_BINS, np.nan), where=counted > 0)


def from_curves(mean: dict[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
    """Numbers from curves that were summed over slices.

    Parameters
    ----------
    mean
        ``nps`` and ``nps_low`` (that of the uLDCT), means over slices; ``edge``, ``edge_truth`` and ``edge_count``, sums.
    pixel_mm
        Mean side of a pixel in mm.

    Returns
    -------
    dict
        ``nps_peak_per_mm`` and ``nps_mean_per_mm``: peak and mean frequency of the noise in the lung, from 1/16 per pixel
        on; ``nps_peak_shift_per_mm`` and ``nps_mean_shift_per_mm``: less those of the uLDCT, below 0 when the
        noise that is left is coarser; ``edge_mtf50``: frequency at which the transfer across the lung's border falls to
        one half, over that of the truth (1 is as sharp as the truth).
    """
    frequency = (np.arange(NPS_BINS) + 0.5)[LOWEST_BIN:] / (2.0 * NPS_BINS) / pixel_mm
    peak, centre = _peak_and_centre(mean["nps"], frequency)
    low_peak, low_centre = _peak_and_centre(mean["nps_low"], frequency)
    sharp, true = (_mtf50(mean[name], mean["edge_count"]) for name in ("edge", "edge_truth"))
    return {
        "nps_peak_per_mm": peak,
        "nps_mean_per_mm": centre,
        "nps_peak_shift_per_mm": peak - low_peak,
        "nps_mean_shift_per_mm": centre - low_centre,
        "edge_mtf50": sharp / true,
    }


def _peak_and_centre(nps: np.ndarray, frequency: np.ndarray) -> tuple[float, float]:
    nps = nps[LOWEST_BIN:]
    if not np.isfinite(nps).all() or nps.sum() <= 0:
        return float("nan"), float("nan")
    smooth = np.convolve(np.pad(nps, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return float(frequency[np.argmax(smooth)]), float((nps * frequency).sum() / nps.sum())


_FADE_BINS = round(2.0 / EDGE_STEP)
_FADE = ((-1, _FADE_BINS, edge_bins() - 2 - _FADE_BINS, edge_bins() - 1), (0.0, 1.0, 1.0, 0.0))
"""Weight of each bin of the border's slope: a trapezoid."""


def _mtf50(total: np.ndarray, count: np.ndarray) -> float:
    """Frequency in 1/pixel at which the transform of the border's slope falls to a half; NaN without a border."""
    if (count < 1).any():
        return float("nan")
    slope = np.diff(total / count)
    # Structure far from the border is no part of its slope: the last two pixels on either side fade.
    slope = slope * np.interp(np.arange(len(slope)), *_FADE)
    padded = 16 * len(slope)
    transfer = np.abs(np.fft.rfft(slope, padded))
    if transfer[0] <= 0:
        return float("nan")
    below = np.flatnonzero(transfer < 0.5 * transfer[0])
    if not len(below):
        return float("nan")
    k = below[0]
    # Between two samples, by a straight line.
    part = (transfer[k - 1] - 0.5 * transfer[0]) / (transfer[k - 1] - transfer[k])
    return float((k - 1 + part) / (padded * EDGE_STEP))
