"""Structure metrics of the first purification paper against each row's label, computed by torchmetrics and piq."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipv2_bench.metrics.base import Column, Ideal, LabelMeasure, Scale

LEAST_SIDE = {"ms_ssim_label": 161, "iw_ssim_label": 161, "vif_label": 41}
"""Pixels along a side that the scales of a metric need; smaller images do not have its column."""

EQUAL_DB = 120.0
"""PSNR in dB of equal images, which would be infinite."""

_NAMES: dict[str, tuple[str, Ideal, Scale]] = {
    "psnr_label_db": ("PSNR dB to label", "higher", "identity"),
    "ssim_label": ("SSIM to label", "higher", "fisher"),
    "rmse_label": ("RMSE to label", "lower", "log"),
    "ms_ssim_label": ("MS-SSIM to label", "higher", "fisher"),
    "vif_label": ("VIF to label", "higher", "log"),
    "fsim_label": ("FSIM to label", "higher", "fisher"),
    "gmsd_label": ("GMSD to label", "lower", "log"),
    "iw_ssim_label": ("IW-SSIM to label", "higher", "fisher"),
}
"""Heading, best value and scale of each column."""


class Structure(LabelMeasure):
    """PSNR, SSIM, RMSE, MS-SSIM and VIF by torchmetrics, FSIM, GMSD and IW-SSIM by piq.

    A label is no truth: where it is misaligned or noisy, these metrics reward images that are so, too.
    """

    version = 2
    order = 10
    columns = tuple(
        Column(
            name, heading, "dB" if name.endswith("_db") else None, "structure", ideal, ("label",), scale=scale,
            decimals=3 if "ssim" in name else None,
            explanation="Comparison with the row's label, which is no truth: a noisy or misaligned label rewards images like it.",
        )
        for name, (heading, ideal, scale) in _NAMES.items()
    )  # fmt: skip

    def of_images(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`~ipv2_bench.metrics.base.LabelMeasure`.

        Raises
        ------
        ValueError
            When the sets differ in number or shape.
        """
        import torch

        if images.shape != labels.shape or images.ndim != 3:
            raise ValueError(f"{images.shape} images against labels {labels.shape}: expected both [n, N, N]")
        metrics = {k: f for k, f in _metrics().items() if images.shape[-1] >= LEAST_SIDE.get(k, 1)}
        values: dict[str, list[float]] = {k: [] for k in metrics}
        with torch.inference_mode():
            for one, other in zip(images, labels, strict=True):
                x, y = (torch.from_numpy(np.array(z, dtype=np.float32))[None, None] for z in (one, other))
                for name, metric in metrics.items():
                    values[name].append(float(metric(x, y)))
        return {k: np.array(v) for k, v in values.items()}


def _metrics() -> dict[str, Callable[[Any, Any], Any]]:
    """Functions of an image and its label, both [1, 1, N, N] in [0, 1], by column."""
    import piq
    from torchmetrics.functional import image as tm

    return {
        "psnr_label_db": lambda x, y: tm.peak_signal_noise_ratio(x, y, data_range=1.0).clamp(max=EQUAL_DB),
        "ssim_label": lambda x, y: tm.structural_similarity_index_measure(x, y, data_range=1.0),
        "rmse_label": lambda x, y: ((x - y) ** 2).mean().sqrt(),
        "ms_ssim_label": lambda x, y: tm.multiscale_structural_similarity_index_measure(x, y, data_range=1.0),
        # Its visual noise, a variance of 2, is meant for grey levels of 0..255 (Sheikh & Bovik 2006).
        "vif_label": lambda x, y: tm.visual_information_fidelity(255.0 * x, 255.0 * y),
        "fsim_label": lambda x, y: piq.fsim(x, y, data_range=1.0, chromatic=False),
        "gmsd_label": lambda x, y: piq.gmsd(x, y, data_range=1.0),
        "iw_ssim_label": lambda x, y: piq.information_weighted_ssim(x, y, data_range=1.0),
    }
