"""Add Noise in the published form against the numbers of its authors' script, at their size of 512×512."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipv2_bench.physics.published import PATH_SCALE, published_low_dose, published_scan
from ipv2_bench.physics.seeding import torch_generator
from tests.literal.published_noise import attenuation, reconstructed, stretched, with_noise
from tests.parity.public_code import numbers

SETS, DRAWS = 4, 24
"""Theirs is one set, whose own error of the mean is near 1 % of its noise."""


@pytest.fixture(scope="module")
def theirs() -> dict[str, np.ndarray]:
    return {key: array.numpy().astype(np.float64) for key, array in numbers("add_noise_published").items()}


@pytest.fixture(scope="module")
def inside(theirs: dict[str, np.ndarray]) -> np.ndarray:
    """Pixels of the circle, without its border, at which the script's rotations round the other way."""
    at = np.arange(512) - 256
    return at[:, None] ** 2 + at**2 < 254**2


@pytest.fixture(scope="module")
def draws(theirs: dict[str, np.ndarray]) -> np.ndarray:
    """Noisy images in sets as large as theirs, [sets, draws, 512, 512] in grey levels.

    Ours are in whole grey levels, rounded down; theirs are not rounded. Noise of more than a grey level makes rounding down take
    half a level off the mean, which is put back.
    """
    unit = torch.from_numpy(theirs["normal"] / 255.0).float().expand(DRAWS, -1, -1)
    sets = [published_low_dose(unit, [torch_generator("parity", k, i) for i in range(DRAWS)]) for k in range(SETS)]
    return torch.stack(sets).numpy() * 255.0 + 0.5


def scanned(image: np.ndarray, noise: np.random.Generator | None = None) -> np.ndarray:
    """The image before it is stretched; with the noise of the formula, written out once more."""
    scan = published_scan(512)
    path = scan.project(((image - image.min()) / np.ptp(image)).astype(np.float32)) * np.float64(PATH_SCALE)
    if noise is not None:
        expected = 27540.0 * np.exp(-path)
        counts = noise.poisson(expected) + 0.05 * np.sqrt(expected) * noise.standard_normal(expected.shape)
        path = -np.log(np.maximum(counts, 1e-6) / 27540.0)
    return scan.backproject((path / PATH_SCALE).astype(np.float32)).astype(np.float64)


def test_the_literal_pipeline(theirs: dict[str, np.ndarray], inside: np.ndarray) -> None:
    """The formulas with scikit-image are the script: to the last bit of the fixture without noise, in its level with it."""
    path = attenuation(theirs["normal"] / 255.0, 512)
    clean = reconstructed(path, 512)
    assert np.abs(clean - theirs["clean_before_stretch"]).max() < 1e-6  # the fixture is in float32
    assert np.abs(255.0 * stretched(clean) - theirs["clean_8bit"]).max() < 1e-4
    rng = np.random.default_rng(0)
    noise = np.stack([reconstructed(with_noise(path, rng), 512) - clean for _ in range(3)])[:, inside]
    assert noise.std() == pytest.approx(np.sqrt((theirs["noise_std_before_stretch"][inside] ** 2).mean()), rel=0.04)


def test_without_noise(theirs: dict[str, np.ndarray], inside: np.ndarray) -> None:
    ours = scanned(theirs["normal"])
    assert np.abs(ours - theirs["clean_before_stretch"])[inside].max() < 0.01
    apart = np.abs(255.0 * stretched(ours) - theirs["clean_8bit"])[inside]  # neither is rounded
    assert apart.mean() < 0.2 and np.quantile(apart, 0.99) < 0.5 and apart.max() < 1.5
    assert not ours[~inside & (np.hypot(*np.mgrid[-256:256, -256:256]) > 257)].any()


def test_mean_image_within_half_a_grey_level(
    theirs: dict[str, np.ndarray], draws: np.ndarray, inside: np.ndarray
) -> None:
    # Every image is stretched to its own extremes, which are drawn: the mean of 24 images is uncertain by 0.2 grey levels as a
    # whole. Pixel by pixel std·√(1/24) of noise is left besides; over 64×64 pixels it averages out.
    of_sets = (draws.mean(1) - theirs["mean_8bit"])[:, inside].mean(1)
    assert 0.05 < of_sets.std() < 0.5
    assert abs(of_sets.mean()) < 0.2
    blocks = (draws.mean((0, 1)) - theirs["mean_8bit"]).reshape(8, 64, 8, 64).mean((1, 3))
    whole = inside.reshape(8, 64, 8, 64).all((1, 3))
    assert np.abs(blocks[whole]).max() < 0.5


def test_standard_deviation_within_3_percent(
    theirs: dict[str, np.ndarray], draws: np.ndarray, inside: np.ndarray
) -> None:
    ratio = draws.std(1)[:, inside].mean() / theirs["std_8bit"][inside].mean()
    assert ratio == pytest.approx(1.0, abs=0.03)


def test_noise_before_the_stretch(theirs: dict[str, np.ndarray], inside: np.ndarray) -> None:
    """Standard deviation within 3 %, and power within 5 % in every ring of frequency."""
    generator = np.random.default_rng(1)
    images = np.stack([[scanned(theirs["normal"], generator) for _ in range(DRAWS)] for _ in range(SETS)])
    ratio = images.std(1)[:, inside].mean() / theirs["noise_std_before_stretch"][inside].mean()
    assert ratio == pytest.approx(1.0, abs=0.03)

    middle = slice(192, 320)
    noise = (images - scanned(theirs["normal"]))[:, :, middle, middle] * np.hanning(128)[:, None] * np.hanning(128)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean((0, 1))
    frequency = np.fft.fftfreq(128)
    ring = np.floor(np.hypot(frequency[:, None], frequency) / 0.05).astype(int)
    rings = np.array([power[ring == i].mean() for i in range(10)])
    np.testing.assert_allclose(rings, theirs["nps_by_0_05_cycles"], rtol=0.05)
