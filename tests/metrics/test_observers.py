"""Model observers against closed forms, against FDA's LCD_CT on its own data, and without a signal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, stats

from ipv2_bench.metrics.observers import (
    Detectability,
    Found,
    auc,
    dense_difference_of_gaussians,
    detectability,
    hotelling_scores,
    laguerre_gauss,
    localisation_auc,
    matched_scores,
    searched,
    unbiased_d_squared,
)

SIDE = 25
FIXTURE = Path(__file__).with_name("lcd_ct.npz")
"""Regions of LCD_CT's small data set (CC0), and what its program (github.com/DIDSR/LCD_CT at fe94e61) says of them: AUC and SNR
of one split, and their mean and deviation over 200."""


def nodule(amplitude: float, deviation: float = 3.0) -> np.ndarray:
    at = np.arange(SIDE) - (SIDE - 1) / 2
    return amplitude * np.exp(-(at[:, None] ** 2 + at**2) / 2 / deviation**2)


def smooth(noise: np.ndarray) -> np.ndarray:
    """Coloured: the circular blur of white noise."""
    return ndimage.gaussian_filter(noise, (0, 1.2, 1.2), mode="wrap")


def transfer() -> np.ndarray:
    """What that blur does to white noise as a matrix of pixels, [N², N²]."""
    units = np.eye(SIDE**2).reshape(-1, SIDE, SIDE)
    return smooth(units).reshape(SIDE**2, -1).T


def take_mean(matrix: np.ndarray) -> np.ndarray:
    """The matrix behind taking off the mean of the pixels."""
    return matrix - matrix.mean(axis=0, keepdims=True)


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("channels", [laguerre_gauss(SIDE, 8.0), dense_difference_of_gaussians(SIDE)], ids=["LG", "DDoG"])
def test_d_prime_of_a_known_signal_is_the_closed_form(coloured: bool, channels: np.ndarray) -> None:
    signal = nodule(0.5 if not coloured else 0.2)
    u = channels.reshape(len(channels), -1)
    noise = u @ take_mean(transfer() if coloured else np.eye(SIDE**2))
    mean = u @ (signal - signal.mean()).ravel()
    covariance = noise @ noise.T
    expected = math.sqrt(mean @ np.linalg.pinv(covariance) @ mean)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(12):
        absent, present = (rng.standard_normal((400, SIDE, SIDE)) for _ in range(2))
        if coloured:
            absent, present = smooth(absent), smooth(present)
        found.append(unbiased_d_squared(absent, present + signal, channels))
    assert 1.0 < expected < 4.0 and math.sqrt(np.mean(found)) == pytest.approx(expected, rel=0.03)
    scores = hotelling_scores(absent, present + signal, channels)
    assert detectability(scores).auc == pytest.approx(stats.norm.cdf(expected / math.sqrt(2)), abs=0.02)


def test_the_matched_filter_is_the_closed_form_in_coloured_noise() -> None:
    signal = nodule(0.2)
    centred = (signal - signal.mean()).ravel()
    noise = take_mean(transfer())
    expected = centred @ centred / math.sqrt(centred @ (noise @ noise.T) @ centred)
    rng = np.random.default_rng(0)
    absent, present = (smooth(rng.standard_normal((2500, SIDE, SIDE))) for _ in range(2))
    groups = np.arange(2500) % 10
    got = detectability(matched_scores(absent, present + signal, (groups, groups)))
    assert got.d_prime == pytest.approx(expected, rel=0.03)


def test_few_images_give_no_excess() -> None:
    """The Mahalanobis distance of 20 images is far too large; without its excess it is right on average."""
    channels, signal = laguerre_gauss(SIDE, 8.0), nodule(0.35)
    u = channels.reshape(len(channels), -1)
    mean, noise = u @ (signal - signal.mean()).ravel(), u @ take_mean(np.eye(SIDE**2))
    expected = mean @ np.linalg.pinv(noise @ noise.T) @ mean
    rng = np.random.default_rng(1)
    draws = [rng.standard_normal((2, 10, SIDE, SIDE)) for _ in range(600)]
    found = [unbiased_d_squared(a, p + signal, channels) for a, p in draws]
    assert abs(np.mean(found) - expected) < 3 * np.std(found) / math.sqrt(600)
    with pytest.raises(ValueError, match="2 and 3 images are too few for 5 channels: expected more than 8 together"):
        unbiased_d_squared(draws[0][0][:2], draws[0][1][:3], channels)


def test_without_a_signal_the_interval_of_the_auc_holds_a_half() -> None:
    """Interval of each of 500 repetitions: mean of independent readers, each with its own 24 images of either kind."""
    channels = laguerre_gauss(SIDE, 8.0)
    rng = np.random.default_rng(5)
    held, means = [], []
    for _ in range(500):
        readers = []
        for _ in range(6):
            absent, present = rng.standard_normal((2, 24, SIDE, SIDE))
            readers.append(auc(hotelling_scores(absent, present, channels, (np.arange(24) % 4,) * 2)))
        half = stats.t.ppf(0.975, 5) * np.std(readers, ddof=1) / math.sqrt(6)
        means.append(np.mean(readers))
        held.append(abs(np.mean(readers) - 0.5) <= half)
    assert abs(np.mean(means) - 0.5) < 3 * np.std(means) / math.sqrt(500)
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("name", ["fbp_055", "denoised_100"])
@pytest.mark.parametrize("observer", ["laguerre_gauss", "difference_of_gaussians", "matched"])
def test_the_observers_are_lcd_cts(name: str, observer: str) -> None:
    with np.load(FIXTURE) as file:
        present, absent = (file[f"{name}/{kind}"].astype(float) for kind in ("present", "absent"))
        their_auc, their_snr, mean_auc, sd_auc, mean_snr, sd_snr = file[f"{name}/{observer}"]
        width = 2 / 3 * float(file[f"{name}/diameter"])
    side = present.shape[-1]
    channels = {"laguerre_gauss": laguerre_gauss(side, width), "difference_of_gaussians": dense_difference_of_gaussians(side)}

    def scores(groups: tuple) -> tuple[np.ndarray, np.ndarray]:
        if observer == "matched":
            return matched_scores(absent, present, groups)
        return hotelling_scores(absent, present, channels[observer], groups)

    # Trained on the first five images of either kind and tested on the others, it is the same to the last digit.
    halves = (np.arange(10) // 5,) * 2
    both = scores(halves)
    got = detectability((both[0][5:], both[1][5:]))
    assert got == Detectability(pytest.approx(their_snr, rel=1e-5), pytest.approx(their_auc, abs=1e-9))
    # All readers together: the mean over splits, which are the same for both kinds.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        halves = (rng.permutation(10) // 5,) * 2
        both = scores(halves)
        found.append(detectability(tuple(x[half == 1] for x, half in zip(both, halves, strict=True))))  # type: ignore[arg-type]
    for own, mean, deviation in (("auc", mean_auc, sd_auc), ("d_prime", mean_snr, sd_snr)):
        values = [getattr(one, own) for one in found]
        assert abs(np.mean(values) - mean) < 3 * deviation * math.sqrt(2 / 200), own


@pytest.mark.parametrize("side", [24, 25, 32])
def test_channels_are_centred_and_round(side: int) -> None:
    for channels in (laguerre_gauss(side, 8.0), dense_difference_of_gaussians(side)):
        for turned in (channels[:, ::-1], channels[:, :, ::-1], channels.transpose(0, 2, 1)):
            np.testing.assert_allclose(channels, turned, atol=1e-12)


def test_images_of_one_group_are_never_on_both_sides() -> None:
    rng = np.random.default_rng(2)
    absent, present = rng.standard_normal((2, 12, SIDE, SIDE))
    patients = np.repeat(["a", "b", "c"], 4)
    before = matched_scores(absent, present, (patients, patients))
    # A mark that only patient b has changes the observers of the others, and not b's own.
    marked = present.copy()
    marked[4:8] += nodule(3.0)
    after = matched_scores(absent, marked, (patients, patients))
    np.testing.assert_allclose(after[0][4:8], before[0][4:8])
    assert not np.isclose(after[0][:4], before[0][:4]).any()
    with pytest.raises(ValueError, match="without group a there are 0 images without and 8 with the signal"):
        hotelling_scores(absent[:4], present, laguerre_gauss(SIDE, 8.0), (patients[:4], patients))


def test_internal_noise_makes_an_observer_worse_in_white_noise_channels_alike() -> None:
    rng = np.random.default_rng(4)
    absent, present = rng.standard_normal((2, 300, SIDE, SIDE))
    channels = dense_difference_of_gaussians(SIDE)
    present = present + nodule(0.3)
    sharp, dull = (detectability(hotelling_scores(absent, present, channels, internal_noise=n)).d_prime for n in (0.0, 4.0))
    assert dull < sharp


def test_auc_is_that_of_pairs() -> None:
    absent, present = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    assert auc((absent, present)) == pytest.approx((1.5 + 3) / 6)
    assert detectability((absent, absent)).auc == 0.5
    assert detectability((np.zeros(3), np.ones(3))) == Detectability(math.inf, 1.0)


def test_a_search_finds_the_place() -> None:
    rng = np.random.default_rng(6)
    template = nodule(1.0)
    wide = rng.standard_normal((40, 61, 61))
    found = searched(wide + np.pad(nodule(1.5), 18), template, reach=12.0)
    nothing = searched(wide, template, reach=12.0)
    assert found.distance.max() <= 12.0 and (found.distance < 3).mean() > 0.9
    # Anywhere in the disc, so that mostly far from its middle.
    assert 5 < np.median(nothing.distance) < 12
    assert localisation_auc(nothing, found, 3.0) > 0.85 > 0.35 > localisation_auc(nothing, nothing, 3.0)
    one, other = Found(np.array([1.0, 2.0]), np.array([0.0, 0.0])), Found(np.array([1.5, 2.5]), np.array([1.0, 9.0]))
    assert localisation_auc(one, other, 3.0) == 0.25
    shifted = np.pad(nodule(40.0), 18)
    (at,) = searched(np.roll(shifted, (3, 4), axis=(0, 1))[None], template, 12.0).distance
    assert at == pytest.approx(5.0)
    with pytest.raises(ValueError, match="images of 30 pixels are too small to search 12 pixels"):
        searched(wide[:, :30, :30], template, 12.0)
