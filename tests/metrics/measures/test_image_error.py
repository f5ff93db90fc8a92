"""Errors of whole slices and of the rim, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.metrics.anatomy import rim
from ipv2_bench.metrics.measures.image_error import ImageError
from ipv2_bench.metrics.measures.region_noise import RegionNoise
from tests.metrics.chest import chest, slice_truth, values


def measured(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return values(ImageError(), image, slice_truth(truth))


def test_psnr_and_rmse_by_hand() -> None:
    truth = chest()[0]
    image = truth.copy()
    image[:80] += 0.1  # half of the pixels, 140 HU
    columns = measured(image, truth)
    assert columns["rmse_hu"] == pytest.approx(140 / 2**0.5)
    assert columns["psnr_db"] == pytest.approx(10 * np.log10(1 / 0.005))
    assert columns["ssim"] < 1


def test_equal_images() -> None:
    truth = chest()[0].astype(np.float32)
    columns = measured(truth, truth)
    assert columns["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert columns["rmse_hu"] == columns["rmse_hu_rim"] == 0 and columns["psnr_db"] > 150


def test_errors_at_the_rim_are_in_its_column_alone() -> None:
    truth, _ = chest()
    image = np.where(rim(truth), truth + 0.1, truth)
    assert measured(image, truth)["rmse_hu_rim"] == pytest.approx(140.0)
    noise = values(RegionNoise(), image, slice_truth(truth))
    assert noise["noise_hu_lung"] == noise["bias_hu_lung"] == 0
