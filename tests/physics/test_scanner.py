"""Noise of a virtual scan against the closed forms of Poisson counts and filtered back-projection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench.physics.projector import FILTERS
from ipv2_bench.physics.scanner import Acquisition, published_low_dose, scan_noise
from ipv2_bench.physics.seeding import torch_generator

SIZE, PIXEL_MM, RADIUS_PX, SLICES = 64, 2.0, 24.0, 24


def water_disc(n: int, size: int = SIZE, radius: float = RADIUS_PX) -> Tensor:
    at = torch.arange(size) - (size - 1) / 2
    disc = torch.where(at[:, None] ** 2 + at**2 < radius**2, 0.0, -1000.0)
    return disc.expand(n, size, size).clone()


def generators(n: int, name: str = "test") -> list[torch.Generator]:
    return [torch_generator(0, name, i) for i in range(n)]


def noise_of(acquisition: Acquisition, n: int = SLICES) -> Tensor:
    return scan_noise(water_disc(n), torch.full((n,), PIXEL_MM), acquisition, generators(n))


def middle(x: Tensor) -> np.ndarray:
    half = SIZE // 2
    return x[:, half - 8 : half + 8, half - 8 : half + 8].numpy().astype(np.float64)


def test_noise_has_no_mean_at_high_counts() -> None:
    noise = noise_of(Acquisition(photons=1e7)).double()
    per_slice = noise.mean((1, 2))
    # Means of independent slices tell the standard error without a model of the correlation inside of a slice.
    assert abs(per_slice.mean()) < 3.5 * per_slice.std() / SLICES**0.5
    assert per_slice.std() < 0.05 * noise.std()


@pytest.mark.parametrize(("dear", "cheap"), [(4e6, 1e6), (1e6, 6.25e4)])
def test_noise_goes_with_the_root_of_the_photons(dear: float, cheap: float) -> None:
    ratio = middle(noise_of(Acquisition(photons=cheap))).std() / middle(noise_of(Acquisition(photons=dear))).std()
    assert ratio == pytest.approx((dear / cheap) ** 0.5, rel=0.03)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("views", "electronic", "kilovolt"), [(60, 0.0, 120), (90, 300.0, 80)])
def test_noise_at_the_centre_of_water_is_the_closed_form(
    name: str, views: int, electronic: float, kilovolt: int
) -> None:
    photons = 1e6
    acquisition = Acquisition(photons, electronic, 0.0, views, name, kilovolt)
    mu = acquisition.mu_water
    counts = photons * np.exp(-mu * 2 * RADIUS_PX * PIXEL_MM)
    variance = (counts + electronic**2) / counts**2  # of the logarithm of Poisson counts with electronic noise
    # White noise of a view passes the filter H and band-limited interpolation with the gain ∫|H|² dν everywhere.
    nu = (np.arange(100_000) + 0.5) / 200_000
    window = {"ram-lak": 1.0, "shepp-logan": np.sinc(nu), "cosine": np.cos(np.pi * nu), "hann": np.cos(np.pi * nu) ** 2}
    gain = np.mean((nu * window[name]) ** 2)
    expected = np.pi / views * np.sqrt(views * variance * gain) / (PIXEL_MM * mu) * 1000.0
    centre = middle(noise_of(acquisition, 160))[:, 4:12, 4:12]
    assert np.sqrt((centre**2).mean()) == pytest.approx(expected, rel=0.05)


def test_bowtie_darkens_the_edge_and_spares_the_axis() -> None:
    plain, bowtie = (noise_of(replace(Acquisition(photons=1e6), bowtie=b)) for b in (0.0, 20.0))
    assert middle(bowtie).std() == pytest.approx(middle(plain).std(), rel=0.1)
    assert bowtie[:, :6, :6].std() > 1.5 * plain[:, :6, :6].std()


def test_noise_of_a_slice_does_not_depend_on_its_batch() -> None:
    slices = water_disc(3) + torch.tensor([0.0, 30.0, -40.0])[:, None, None]
    mm = torch.tensor([1.5, 2.0, 2.5])
    acquisition = Acquisition(photons=3000.0, electronic=6.0, bowtie=1.5)
    together = scan_noise(slices, mm, acquisition, generators(3))
    for i in range(3):
        alone = scan_noise(slices[i : i + 1], mm[i : i + 1], acquisition, generators(3)[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-4)


def test_other_generators_give_other_noise() -> None:
    arguments = water_disc(1), torch.tensor([PIXEL_MM]), Acquisition(photons=1e4)
    a, b = (scan_noise(*arguments, generators(1, name)) for name in ("a", "b"))
    assert abs(np.corrcoef(middle(a).ravel(), middle(b).ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("electronic", [0.0, 10.0])
def test_total_starvation_leaves_finite_pixels(electronic: float) -> None:
    metal = torch.full((1, 32, 32), 20000.0)
    noise = scan_noise(metal, torch.tensor([5.0]), Acquisition(photons=1e-3, electronic=electronic), generators(1))
    assert torch.isfinite(noise).all()


def test_unusable_slices_are_refused() -> None:
    mm, acquisition = torch.tensor([1.0]), Acquisition(photons=1e4)
    for bad in (float("nan"), float("inf")):
        broken = water_disc(1)
        broken[0, 3, 4] = bad
        with pytest.raises(ValueError, match="NaN or infinity"):
            scan_noise(broken, mm, acquisition, generators(1))
    with pytest.raises(ValueError, match=r"\(1, 8, 9\)"):
        scan_noise(torch.zeros(1, 8, 9), mm, acquisition, generators(1))
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        scan_noise(torch.zeros(8, 8), mm, acquisition, generators(1))
    with pytest.raises(ValueError, match="2 generators for 1 slices"):
        scan_noise(torch.zeros(1, 8, 8), mm, acquisition, generators(2))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"photons": -5.0}, "photons is -5.0"),
        ({"photons": 0.0}, "photons is 0.0"),
        ({"photons": float("nan")}, "photons is nan"),
        ({"electronic": -1.0}, "electronic=-1.0"),
        ({"bowtie": -0.5}, "bowtie=-0.5"),
        ({"filter_name": "hamming"}, "'hamming' is unknown.*hann"),
        ({"kilovolt": 100}, "kilovolt 100 .*80, 120"),
        ({"views": 0}, "views is 0"),
    ],
)
def test_unusable_acquisitions_are_refused(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Acquisition(**{"photons": 1e4, **options})


def test_published_dose_model_fills_eight_bits() -> None:
    unit = (water_disc(2, 48, 18.0) + 1000.0) / 1400.0
    unit[:, 20:28, 20:28] = 0.2
    first, again = (published_low_dose(unit, generators(2)) for _ in range(2))
    assert first.shape == unit.shape
    assert float(first.min()) == 0.0
    torch.testing.assert_close(first * 255, (first * 255).round(), rtol=0, atol=1e-4)
    torch.testing.assert_close(first.amax((1, 2)), torch.ones(2), rtol=0, atol=0)
    torch.testing.assert_close(first.amin((1, 2)), torch.zeros(2), rtol=0, atol=0)
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    # What was brighter stays brighter.
    assert first[:, 10:16, 20:28].mean() > first[:, 20:28, 20:28].mean() + 0.1
