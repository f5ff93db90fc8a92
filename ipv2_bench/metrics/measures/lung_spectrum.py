"""Texture of the lung against the truth's: power spectra."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure

BANDS = 8
"""Rings of equal width between no frequency and that of Nyquist; the first holds trends and is left out."""


class LungSpectrum(TruthMeasure):
    """Difference in dB between the power spectra of image and truth in the lung, mean over frequencies.

    The truth's vessels and its own texture belong to the spectrum: noise raises it, blur lowers it.
    """

    version = 1
    order = 61
    columns = (
        Column(
            "lung_spectrum_db", "lung spectrum difference dB", "dB", "detail", "lower", ("truth",), scale="log",
            explanation="Difference between the power spectra of image and truth in the lung, without sign, mean over seven "
            "bands of frequency up to Nyquist's; 0 is the truth's texture.",
        ),
        Column(
            "lung_spectrum_high_db", "lung spectrum, fine dB", "dB", "detail", 0.0, ("truth",),
            explanation="The same, with its sign, in the highest three bands: above 0 is noise or ringing, below 0 is blur.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Power in each band, [bands]; NaN where the lung is too small."""
        lung = truth.anatomy.regions["lung"]
        return {name: band_power(x, lung) for name, x in (("power", hu), ("power_truth", truth.hu))}

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = 10.0 * np.log10(statistics["power"] / statistics["power_truth"])
        return {
            "lung_spectrum_db": float(np.abs(difference).mean()),
            "lung_spectrum_high_db": float(difference[-3:].mean()),
        }


def band_power(hu: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Mean power of an image [N, N] within a region in bands of frequency, [BANDS − 1]; the region's edge is tapered."""
    from scipy import ndimage

    from ipv2_bench.metrics.anatomy import LEAST_PIXELS
    from ipv2_bench.metrics.measures.noise_texture import TAPER_PX

    weight = np.clip(ndimage.distance_transform_edt(region) / TAPER_PX, 0.0, 1.0)
    if region.sum() < LEAST_PIXELS:
        return np.full(BANDS - 1, np.nan)
    n = len(hu)
    mean = float((weight * hu).sum() / weight.sum())
    power = np.abs(np.fft.fft2(weight * (hu - mean))) ** 2 / (weight**2).sum()
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n))
    band = np.minimum((2.0 * BANDS * frequency).astype(int), BANDS)  # the last is what lies in the corners
    total = np.bincount(band.ravel(), weights=power.ravel(), minlength=BANDS + 1)
    return (total / np.bincount(band.ravel(), minlength=BANDS + 1))[1:BANDS]
