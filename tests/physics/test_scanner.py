"""Noise of a virtual scan against the closed forms of Poisson counts and filtered back-projection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ipv2_bench.physics import projector
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.closed_form import noise_power as closed_noise_power
from ipv2_bench.physics.closed_form import noise_variance
from ipv2_bench.physics.filters import FILTERS
from ipv2_bench.physics.published import published_counts, published_low_dose
from ipv2_bench.physics.scanner import scan_noise
from ipv2_bench.physics.seeding import torch_generator
from tests.benches.physics_accuracy import radial_power
from tests.literal.published_noise import published_pipeline

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


@pytest.mark.parametrize(("full", "reduced"), [(4e6, 1e6), (1e6, 6.25e4)])
def test_noise_goes_with_the_root_of_the_photons(full: float, reduced: float) -> None:
    ratio = middle(noise_of(Acquisition(photons=reduced))).std() / middle(noise_of(Acquisition(photons=full))).std()
    assert ratio == pytest.approx((full / reduced) ** 0.5, rel=0.03)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("views", "electronic", "kilovolt"), [(60, 0.0, 120), (90, 300.0, 80)])
def test_noise_at_the_centre_of_water_is_the_closed_form(
    name: str, views: int, electronic: float, kilovolt: int
) -> None:
    photons = 1e6
    acquisition = Acquisition(photons, electronic, 0.0, views, name, kilovolt)
    mu = acquisition.mu_water
    counts = photons * PIXEL_MM * np.exp(-mu * 2 * RADIUS_PX * PIXEL_MM)
    variance = (counts + electronic**2) / counts**2  # of the logarithm of Poisson counts with electronic noise
    expected = noise_variance(views, name, variance) ** 0.5 / (PIXEL_MM * mu) * 1000.0
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


@pytest.fixture(scope="module")
def flat_noise() -> np.ndarray:
    """200 draws of one scan of air, whose rays all have the same variance."""
    air = torch.full((200, 96, 96), -1000.0)
    acquisition = Acquisition(photons=1e5, views=120, filter_name="cosine")
    return scan_noise(air, torch.ones(200), acquisition, generators(200)).double().numpy()


def test_two_hundred_draws_average_to_the_clean_slice(flat_noise: np.ndarray) -> None:
    # z-scores of means of independent draws are standard normal: their spread over the pixels is 1, their mean 0.
    z = flat_noise.mean(0) / (flat_noise.std(0, ddof=1) / len(flat_noise) ** 0.5)
    assert abs(z.mean()) < 0.15 and abs(z.std() - 1) < 0.15 and np.abs(z).max() < 6


def test_every_pixel_has_the_closed_forms_standard_deviation(flat_noise: np.ndarray) -> None:
    mu = Acquisition(photons=1.0).mu_water
    expected = (noise_variance(120, "cosine", 1e-5)) ** 0.5 / mu * 1000.0
    pixelwise = flat_noise.std(0)
    assert np.sqrt((pixelwise**2).mean()) == pytest.approx(expected, rel=0.03)
    for block in (np.s_[:12, :12], np.s_[42:54, 42:54], np.s_[42:54, :12]):  # corner, centre and side alike
        assert np.sqrt((pixelwise[block] ** 2).mean()) == pytest.approx(expected, rel=0.05)


def test_every_ring_of_the_noise_power_is_the_closed_forms() -> None:
    size, draws = 96, 800
    acquisition = Acquisition(photons=1e5, views=120, filter_name="cosine")
    air = torch.full((draws, size, size), -1000.0)
    noise = scan_noise(air, torch.ones(draws), acquisition, generators(draws)).double().numpy()
    _, power = radial_power(noise)
    # The taper of the estimate smears the spectrum: the closed form is smeared alike.
    f = np.fft.fftfreq(size)
    radius = np.hypot(f[:, None], f[None])
    plane = closed_noise_power(np.minimum(radius, 0.5), 120, "cosine", 1e-5) * (radius <= 0.5)
    taper = np.abs(np.fft.fft2(np.outer(np.hanning(size), np.hanning(size)))) ** 2
    smeared = (
        np.fft.ifft2(np.fft.fft2(plane) * np.fft.fft2(taper / taper.sum())).real * (1000.0 / acquisition.mu_water) ** 2
    )
    ring = np.rint(radius * size).astype(int)
    expected = np.array([smeared[ring == r].mean() for r in range(1, size // 2 + 1)])
    assert np.abs(power / expected - 1).max() < 0.05
    assert abs(power.sum() / expected.sum() - 1) < 0.01


def test_poisson_becomes_its_gaussian_limit() -> None:
    one, other = (noise_of(Acquisition(photons=1e6, quantum=q), 160) for q in ("poisson", "gaussian"))
    assert middle(one).std() == pytest.approx(middle(other).std(), rel=0.03)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("dose", [0.01, 0.1, 0.5])
def test_noise_goes_with_the_inverse_root_of_the_dose(dose: float) -> None:
    full, part = (noise_of(Acquisition(photons=2e7, dose=d), 60) for d in (1.0, dose))
    assert middle(part).std() / middle(full).std() == pytest.approx(dose**-0.5, rel=0.03)


@pytest.mark.parametrize(("dose", "electronic"), [(0.02, 0.0), (0.25, 0.0), (0.25, 4000.0)])
def test_insertion_counts_what_the_scan_already_carries(dose: float, electronic: float) -> None:
    """A full-dose scan with noise inserted has the noise of a low-dose scan."""
    full = Acquisition(photons=3e7, electronic=electronic)
    disc, mm = water_disc(100), torch.full((100,), PIXEL_MM)
    carried = scan_noise(disc, mm, full, generators(100, "full"))
    inserted = scan_noise(disc, mm, replace(full, dose=dose, inserted=True), generators(100, "inserted"))
    direct = scan_noise(disc, mm, replace(full, dose=dose), generators(100, "direct"))
    assert middle(carried + inserted).std() == pytest.approx(middle(direct).std(), rel=0.03)


def test_nothing_is_inserted_at_full_dose() -> None:
    assert noise_of(Acquisition(photons=1e4, electronic=5.0, inserted=True), 2).abs().max() < 1e-2


def test_a_pixel_without_size_is_refused() -> None:
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="pixel_mm is"):
            scan_noise(water_disc(1), torch.tensor([bad]), Acquisition(photons=1e4), generators(1))


def test_published_counts_are_the_scripts() -> None:
    """The formula of the public script, written out: incident flux, Poisson, and a normal of 0.05·√flux."""
    path = torch.linspace(0, 3, 500)
    counts = published_counts(path, torch_generator("counts"))
    generator = torch_generator("counts")
    normal = torch.randn(path.shape, generator=generator)
    flux = 200 * 1000 * (0.015 * 2.5 + 0.1002) * torch.exp(-path)
    uniform = torch.rand(path.shape, generator=generator, dtype=torch.float64)
    poisson = torch.from_numpy(stats.poisson.ppf(uniform.numpy(), flux.double().numpy())).float()
    assert torch.equal(counts, poisson + 0.05 * torch.sqrt(flux) * normal)


def test_published_noise_level_is_the_scripts() -> None:
    """Against the whole script with scikit-image, on a body that touches neither end of the grey scale."""
    size = 128
    at = np.arange(size) - size // 2
    radius = np.hypot(at[:, None], at[None])
    unit = np.where(radius < 50, 0.6 + 0.1 * np.cos(radius / 9), 0.0)
    unit[60:64, 60:64] = 1.0
    n = 40  # each image is stretched to its own extremes, so that the level wobbles from draw to draw
    many = torch.from_numpy(unit).float().expand(n, size, size)
    ours = published_low_dose(many, generators(n)).numpy()
    theirs = np.stack([published_pipeline(unit, i, views=size) for i in range(n)])
    inside = (radius > 15) & (radius < 44)

    def level(images: np.ndarray) -> float:
        return float((images[1:] - images[:-1])[:, inside].std())

    assert level(ours) == pytest.approx(level(theirs), rel=0.05)


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
        ({"dose": 0.0}, "dose is 0.0.*at most 1"),
        ({"dose": -0.1}, "dose is -0.1"),
        ({"dose": 1.5}, "dose is 1.5"),
        ({"dose": float("nan")}, "dose is nan"),
        ({"quantum": "bose"}, "'bose' is unknown: use poisson or gaussian"),
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


def test_noise_does_not_depend_on_the_size_of_pixels_below_a_cutoff() -> None:
    # Photons are per millimetre of the detector, and the filter ends at a frequency that all of these pixels can show.
    scan = Acquisition(photons=20000.0, views=180, filter_name="hann", cutoff=0.45)
    levels = []
    for size in (192, 256, 384):
        pixel_mm = 192.0 / size
        at = (torch.arange(size) - (size - 1) / 2) * pixel_mm
        body = torch.where(torch.hypot(at[:, None], at[None]) < 80.0, 0.0, -1000.0)
        generators = [torch_generator(size, i) for i in range(4)]
        noise = scan_noise(body.expand(4, -1, -1), torch.full((4,), pixel_mm), scan, generators)
        levels.append(float(noise[:, torch.hypot(at[:, None], at[None]) < 30.0].std()))
    assert max(levels) < 1.05 * min(levels), levels
    fine = [scan_noise(body[None], torch.tensor([pixel_mm]), replace(scan, cutoff=c), [torch_generator(0)]) for c in (0.45, 0.9)]
    assert fine[1].std() > 1.5 * fine[0].std()


def test_slices_of_one_batch_have_their_own_filters() -> None:
    scan = Acquisition(photons=20000.0, views=60, filter_name="cosine", cutoff=0.6)
    body = torch.zeros(2, 64, 64)
    mm = torch.tensor([0.7, 1.1])
    together = scan_noise(body, mm, scan, [torch_generator(i) for i in range(2)])
    alone = [scan_noise(body[i : i + 1], mm[i : i + 1], scan, [torch_generator(i)])[0] for i in range(2)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-3)


def test_slices_of_several_threads_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is derived of slices is made by several threads at once, with plans and responses that they share."""
    monkeypatch.setattr(projector, "MOST_RESPONSES", 0)  # each forgets what the others have found
    unit = torch.rand(24, 64, 64, generator=torch_generator("slices"))
    mm = torch.linspace(0.5, 1.0, 24)
    scan = Acquisition(photons=3000.0, filter_name="hann", cutoff=0.4, views=40)

    def low(i: int) -> Tensor:
        of_slice = slice(i, i + 1)
        ours = scan_noise(1000.0 * unit[of_slice], mm[of_slice], scan, [torch_generator("ours", i)])
        return torch.cat([ours, published_low_dose(unit[of_slice], [torch_generator("theirs", i)])])

    expected = [low(i) for i in range(24)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(4):
            for one, other in zip(threads.map(low, range(24)), expected, strict=True):
                assert torch.equal(one, other)
