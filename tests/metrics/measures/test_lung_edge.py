"""Sharpness of the lung's border is that of the blur which was applied, wherever the border is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.metrics.image_set import Measurements, Measuring
from ipv2_bench.metrics.measures import lung_edge
from ipv2_bench.metrics.measures.lung_edge import LungEdge, mtf50, piece_shifts
from tests.metrics.chest import WINDOW, blurred, chest, large_chest, truth_of_hu, values_of_hu


def relative_mtf50(image: np.ndarray, truth: np.ndarray) -> float:
    """The column for an image and its truth in HU."""
    return values_of_hu(LungEdge(), image[None], [truth_of_hu(truth)])["edge_mtf50"]


def gaussian_mtf50(sigma: float) -> float:
    """Frequency in 1/pixel at which the transfer of a Gaussian of ``sigma`` pixels and of a square pixel is one half.

    The transfer is exp(−2π²σ²f²) times the mean over directions of that of the pixel.
    """
    f, angle = np.linspace(0.001, 1.0, 10_000)[:, None], np.linspace(0, np.pi / 2, 91)
    pixel = (np.sinc(f * np.cos(angle)) * np.sinc(f * np.sin(angle))).mean(1)
    transfer = np.exp(-2.0 * (np.pi * sigma * f[:, 0]) ** 2) * pixel
    return float(f[np.argmax(transfer < 0.5), 0])


DISPLACEMENTS: dict[str, dict[str, Any]] = {
    "in place": {},
    "one lung larger, one smaller": {"displaced": lambda side, angle: 1.5 * side},
    "both lungs moved": {"moved": (0.9, -1.2)},
    "top and bottom outwards, sides inwards": {"displaced": lambda side, angle: -1.5 * np.cos(2 * angle)},
}


@pytest.mark.parametrize("displacement", DISPLACEMENTS)
def test_a_displaced_border_is_as_sharp_as_the_truth(displacement: str) -> None:
    truth, image = large_chest(1.0), large_chest(1.0, **DISPLACEMENTS[displacement])
    assert relative_mtf50(image, truth) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("displacement", list(DISPLACEMENTS)[:3])
@pytest.mark.parametrize("noise", [0.0, 40.0])
@pytest.mark.parametrize("blur", [0.7, 1.2])
def test_the_ratio_is_that_of_the_blurs(blur: float, noise: float, displacement: str) -> None:
    sharp = 0.8
    both = float(np.hypot(sharp, blur))
    truth, image = large_chest(sharp), large_chest(both, **DISPLACEMENTS[displacement])
    noisy = image + np.random.default_rng(0).normal(0.0, noise, image.shape)
    assert relative_mtf50(noisy, truth) == pytest.approx(gaussian_mtf50(both) / gaussian_mtf50(sharp), rel=0.05)


def test_a_border_on_average_in_place_would_seem_blurred_without_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = large_chest(1.0)
    image = large_chest(1.0, **DISPLACEMENTS["one lung larger, one smaller"])
    original = lung_edge.piece_shifts
    monkeypatch.setattr(lung_edge, "piece_shifts", lambda *given: 0.0 * original(*given))
    assert relative_mtf50(image, truth) < 0.7


@pytest.mark.parametrize(("blurred_by", "tolerance"), [(1.0, 0.03), (1.5, 0.1)])
def test_shifts_are_those_that_were_put_in_whatever_contrast_and_bias(blurred_by: float, tolerance: float) -> None:
    truth = large_chest(1.0)
    border = truth_of_hu(truth).anatomy.lung_border
    image = 40.0 + 0.7 * large_chest(blurred_by, displaced=lambda side, angle: 0.8 * side)
    shifts = piece_shifts(image, truth, border)
    column = np.unravel_index(border.pixels, truth.shape)[1]
    side = np.array([np.sign(np.mean(column[border.piece == k]) - 159.5) for k in range(len(shifts))])
    np.testing.assert_allclose(shifts, 0.8 * side, atol=tolerance)
    np.testing.assert_array_equal(piece_shifts(truth, truth, border), 0.0)


def test_the_truth_is_as_sharp_as_itself() -> None:
    truth = WINDOW.hu(blurred(1.0))
    assert relative_mtf50(truth, truth) == pytest.approx(1.0, abs=1e-12)


def test_noise_is_not_taken_for_sharpness() -> None:
    truth = large_chest(1.0)
    noisy = truth + np.random.default_rng(0).normal(0, 150, truth.shape)
    assert relative_mtf50(noisy, truth) == pytest.approx(1.0, abs=0.06)


def test_without_a_border_there_is_no_sharpness() -> None:
    truth = WINDOW.hu(chest(lung=False)[0])
    assert np.isnan(relative_mtf50(truth, truth))


def test_a_slice_without_a_border_is_counted_out_and_changes_nothing() -> None:
    first, last = large_chest(1.0), large_chest(0.8)
    truths = [first, np.where(first < -900.0, -1000.0, 0.0), last]  # the second has no lung
    rng = np.random.default_rng(0)
    images = np.stack([ndimage.gaussian_filter(t, 0.7) + rng.normal(0.0, 20.0, t.shape) for t in truths])

    def measured(index: list[int]) -> Measurements:
        units = WINDOW.unit(images[index])
        measuring = Measuring(Catalogue({"lung_edge": LungEdge()}), [truth_of_hu(truths[i]) for i in index], units)
        return measuring.measure(units, 1.0, images[index])

    whole, without = measured([0, 1, 2]), measured([0, 2])
    assert whole.slices_with()["edge_mtf50"].tolist() == [True, False, True]
    assert without.slices_with() == {}
    assert whole.fidelity()["edge_mtf50"] == without.fidelity()["edge_mtf50"]
    assert 0.2 < whole.fidelity()["edge_mtf50"] < 0.95
    # A draw of that slice alone has none.
    alone, others = whole.fidelity_replicates(np.array([[0.0, 2.0, 0.0], [1.0, 5.0, 1.0]]))["edge_mtf50"]
    assert np.isnan(alone) and others == without.fidelity()["edge_mtf50"]


@pytest.mark.parametrize("sigma", [0.8, 1.6])
def test_mtf50_of_a_gaussian_edge_in_closed_form(sigma: float) -> None:
    from scipy.special import erf

    # Bins of a quarter of a pixel; the transfer of a Gaussian of σ is exp(−2π²σ²f²).
    distance = np.arange(-7, 7, 0.25) + 0.125
    count = np.full(len(distance), 5.0)
    profile = 300.0 * erf(distance / (sigma * 2**0.5))
    expected = np.sqrt(np.log(2) / 2) / (np.pi * sigma)
    assert mtf50(count * profile, count) == pytest.approx(expected, rel=0.01)
    count[:3] = 0.0  # small lungs are not that deep
    assert mtf50(count * profile, count) == pytest.approx(expected, rel=0.01)
    count[20] = 0.0  # a bin that no slice has
    assert np.isnan(mtf50(count * profile, count))
