"""Structure metrics against a label."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from ipv2_bench.metrics.measures.structure import EQUAL_DB, Structure

structure = Structure().of_images

SMALL = {"psnr_label_db", "ssim_label", "rmse_label", "vif_label", "fsim_label", "gmsd_label"}


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = np.kron(rng.random((2, 12, 12)), np.ones((16, 16))).astype(np.float32)
    return (label + rng.normal(0, 0.1, label.shape)).clip(0, 1).astype(np.float32), label


def test_psnr_and_rmse_by_hand_and_worse_images_score_worse(pair: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = pair
    noisier = (images + np.random.default_rng(1).normal(0, 0.2, images.shape)).clip(0, 1).astype(np.float32)
    columns, worse = structure(images, labels), structure(noisier, labels)
    assert set(columns) == {c.name for c in Structure.columns} == SMALL | {"ms_ssim_label", "iw_ssim_label"}
    for i in range(2):
        assert columns["psnr_label_db"][i] == pytest.approx(
            peak_signal_noise_ratio(labels[i], images[i], data_range=1), rel=1e-4
        )
        assert columns["rmse_label"][i] == pytest.approx(np.sqrt(((images[i] - labels[i]) ** 2).mean()), rel=1e-4)
    for column in Structure.columns:
        pairs = zip(columns[column.name], worse[column.name], strict=True)
        assert all(column.better(value, than) for value, than in pairs), column.name


def test_vif_is_that_of_another_library_and_falls_with_little_noise(pair: tuple[np.ndarray, np.ndarray]) -> None:
    import piq
    import torch

    label = pair[1][:1]
    image = (label + np.random.default_rng(2).normal(0, 0.05, label.shape)).clip(0, 1).astype(np.float32)
    (value,) = structure(image, label)["vif_label"]
    expected = float(piq.vif_p(torch.from_numpy(image)[None], torch.from_numpy(label)[None], data_range=1.0))
    assert value == pytest.approx(expected, rel=1e-4)
    assert value < 0.6  # with the images in [0, 1] it would be almost 1


def test_equal_images_are_perfect_and_finite(pair: tuple[np.ndarray, np.ndarray]) -> None:
    columns = structure(pair[1], pair[1])
    assert (columns.pop("psnr_label_db") == EQUAL_DB).all()
    for name, values in columns.items():
        np.testing.assert_allclose(values, 0.0 if name in ("rmse_label", "gmsd_label") else 1.0, atol=1e-3)


def test_small_images_lack_the_metrics_of_many_scales(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert set(structure(pair[0][:, :128, :128], pair[1][:, :128, :128])) == SMALL


def test_sets_of_other_sizes_are_refused(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"\(2, 192, 192\) images against labels \(1, 192, 192\)"):
        structure(pair[0], pair[1][:1])
