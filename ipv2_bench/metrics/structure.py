"""Structure metrics of the first purification paper against a label, from kept libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAST_SIDE = {"ms_ssim_label": 161, "iw_ssim_label": 161, "vif_label": 41}
"""Pixels along a side that a metric's scales need; smaller images lack its column."""

EQUAL_DB = 120.0
"""PSNR of equal images, which would be infinite."""


def structure(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Compare images with their labels, both [n, N, N] in [0, 1], slice by slice.

    Returns
    -------
    dict
        Arrays [n]: ``psnr_label_db``, ``ssim_label``, ``rmse_label`` (of [0, 1]), ``ms_ssim_label`` and ``vif_label`` by
        torchmetrics, ``fsim_label``, ``gmsd_label`` and ``iw_ssim_label`` by piq. A label is no truth: where it is
        misaligned or noisy, these reward being so, too.

    Raises
    ------
    ValueError
        When the sets differ in number or shape.
    """
    if images.shape != labels.shape or images.ndim != 3:
        raise ValueError(f"{images.shape} images against labels {labels.shape}: expected both [n, N, N]")
    chosen = {k: f for k, f in _metrics().items() if images.shape[-1] >= LEAST_SIDE.get(k, 1)}
    found: dict[str, list[float]] = {k: [] for k in chosen}
    with torch.inference_mode():
        for one, other in zip(images, labels, strict=True):
            x, y = (torch.from_numpy(np.array(z, dtype=np.float32))[None, None] for z in (one, other))
            for name, metric in chosen.items():
                found[name].append(float(metric(x, y)))
    return {k: np.array(v) for k, v in found.items()}


def _metrics() -> dict[str, Callable[[Tensor, Tensor], Any]]:
    import piq
    from torchmetrics.functional import image as tm

    return {
        "psnr_label_db": lambda x, y: tm.peak_signal_noise_ratio(x, y, data_range=1.0).clamp(max=EQUAL_DB),
        "ssim_label": lambda x, y: tm.structural_similarity_index_measure(x, y, data_range=1.0),
        "rmse_label": lambda x, y: ((x - y) ** 2).mean().sqrt(),
        "ms_ssim_label": lambda x, y: tm.multiscale_structural_similarity_index_measure(x, y, data_range=1.0),
        "vif_label": lambda x, y: tm.visual_information_fidelity(x, y),
        "fsim_label": lambda x, y: piq.fsim(x, y, data_range=1.0, chromatic=False),
        "gmsd_label": lambda x, y: piq.gmsd(x, y, data_range=1.0),
        "iw_ssim_label": lambda x, y: piq.information_weighted_ssim(x, y, data_range=1.0),
    }
