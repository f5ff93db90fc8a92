"""Errors of whole slices against the aligned truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure


class ImageError(TruthMeasure):
    """PSNR over the HU window, SSIM (Wang et al. 2004, Gaussian weights of σ 1.5), RMSE of the slice and of the body's rim."""

    version = 2
    order = 10
    columns = (
        Column(
            "psnr_db", "PSNR dB", "dB", "fidelity", "higher", ("truth",),
            explanation="Peak signal-to-noise ratio over the HU window, mean over slices; what leaves it is clipped.",
        ),
        Column(
            "ssim", "SSIM", None, "fidelity", "higher", ("truth",), decimals=3, scale="fisher",
            explanation="Structural similarity in the HU window with Gaussian weights of σ 1.5 pixels, mean over slices.",
        ),
        Column(
            "rmse_hu", "RMSE HU", "HU", "fidelity", "lower", ("truth",), scale="log",
            explanation="Root mean squared error of a slice, mean over slices; what leaves the HU window is clipped.",
        ),
        Column(
            "rmse_hu_rim", "RMSE rim HU", "HU", "fidelity", "lower", ("truth",), scale="log",
            explanation="The same within 4 pixels of the body's outline, which breathing moves most.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        from skimage.metrics import structural_similarity

        width = truth.window.width
        image, true = (truth.window.unit(x) for x in (hu, truth.hu))
        error = (image - true).astype(np.float64) * width
        mse = float((error**2).mean())
        ssim = structural_similarity(
            image, true, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        return {
            "psnr_db": 10.0 * np.log10(width**2 / max(mse, 1e-12)),
            "ssim": float(ssim),
            "rmse_hu": float(np.sqrt(mse)),
            "rmse_hu_rim": over_region(error[truth.anatomy.rim], lambda e: np.sqrt((e**2).mean())),
        }


def over_region(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> float:
    """A statistic of a region's values; NaN for a region that is too small to be measured."""
    from ipv2_bench.metrics.anatomy import LEAST_PIXELS

    return float(statistic(values)) if values.size >= LEAST_PIXELS else float("nan")
