"""Model observers: how well a known signal can be told from its absence in noisy images.

An observer gives each image a score; detectability d′ is the distance of the mean scores with and without the signal over their
standard deviation, and the area under the ROC curve (AUC) the chance that a score with the signal is the higher one of two.

Images are regions around the place of the signal, [n, N, N] in HU; the mean of each is taken off first, since brightness alone
is no signal. Every image is scored by an observer that was not trained on it or on others of its group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

CHANNELS = 5
"""Laguerre–Gauss channels, as usual in CT."""

Scores = tuple[np.ndarray, np.ndarray]
"""Scores of the images without the signal, [n], and with it, [m]."""


@dataclass(frozen=True)
class Detectability:
    """What an observer's scores say.

    Attributes
    ----------
    d_prime
        Distance of the means over the root of the mean variance.
    auc
        Area under the ROC curve, by Mann and Whitney.
    """

    d_prime: float
    auc: float


def laguerre_gauss(side: int, width: float, channels: int = CHANNELS) -> np.ndarray:
    """Laguerre–Gauss channels (Barrett et al., 1998), [channels, side, side], centred; for round signals at a known place.

    ``√2/h · exp(−πr²/h²) · L_j(2πr²/h²)``.

    Parameters
    ----------
    side
        Pixels of a region along a side.
    width
        h, in pixels; two thirds of the signal's diameter in FDA's LCD_CT.
    channels
        Their number, j = 0 … channels − 1.
    """
    from scipy.special import eval_laguerre

    square = 2 * np.pi * _squared_radius(side) / width**2
    return np.stack([sqrt(2) / width * np.exp(-square / 2) * eval_laguerre(j, square) for j in range(channels)])


def dense_difference_of_gaussians(side: int, channels: int = 10) -> np.ndarray:
    """Dense difference-of-Gaussian channels (Abbey and Barrett, 2001), [channels, side, side], centred; for signals of any size.

    In frequency ``exp(−(ρ/Qσ_j)²/2) − exp(−(ρ/σ_j)²/2)`` with σ_j = 0.005·1.4^j cycles per pixel and Q = 1.67.
    """
    at = np.fft.fftfreq(side)
    squared = at[:, None] ** 2 + at**2
    to_middle = np.exp(-1j * np.pi * at * (side - 1))
    to_middle[at == -0.5] = 0.0  # of an even side: its waves have no middle between two pixels
    to_middle = to_middle[:, None] * to_middle
    bands = []
    for j in range(channels):
        width = 0.005 * 1.4**j
        band = np.exp(-squared / (1.67 * width) ** 2 / 2) - np.exp(-squared / width**2 / 2)
        bands.append(np.fft.ifft2(band * to_middle).real)
    return np.stack(bands)


def hotelling_scores(
    absent: np.ndarray,
    present: np.ndarray,
    channels: np.ndarray,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    internal_noise: float = 0.0,
) -> Scores:
    """Scores of the channelised Hotelling observer, each image by one that was trained on the images of other groups.

    With fewer images than channels the covariance is inverted where it is known, as in FDA's LCD_CT; scores are then poor.

    Parameters
    ----------
    absent, present
        Regions without and with the signal, [n, N, N] and [m, N, N].
    channels
        [c, N, N].
    groups
        What must not be on both sides of training and test, such as patients: a label for each image of either kind. By default
        images of the same number, so that a slice with the signal is not scored by an observer that has seen it without.
    internal_noise
        Variance that the observer's own noise adds to each channel, as a multiple of the channel's variance.

    Raises
    ------
    ValueError
        When without a group there are fewer than two images of either kind.
    """
    outputs = [_without_mean(x).reshape(len(x), -1) @ channels.reshape(len(channels), -1).T for x in (absent, present)]

    def trained(without: np.ndarray, with_signal: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        covariance = (np.cov(without, rowvar=False) + np.cov(with_signal, rowvar=False)) / 2
        covariance = np.atleast_2d(covariance)
        covariance = covariance + internal_noise * np.diag(np.diag(covariance))
        template = np.linalg.pinv(covariance) @ (with_signal.mean(axis=0) - without.mean(axis=0))
        return lambda images: images @ template

    return _by_others(outputs, trained, groups, least=2)


def matched_scores(absent: np.ndarray, present: np.ndarray, groups: tuple[ArrayLike, ArrayLike] | None = None) -> Scores:
    """Scores of the non-prewhitening matched filter: the product with the mean signal of the images of other groups.

    Parameters as for :func:`hotelling_scores`.
    """
    outputs = [_without_mean(x).reshape(len(x), -1) for x in (absent, present)]

    def trained(without: np.ndarray, with_signal: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        template = with_signal.mean(axis=0) - without.mean(axis=0)
        return lambda images: images @ template

    return _by_others(outputs, trained, groups, least=1)


def detectability(scores: Scores) -> Detectability:
    """d′ and AUC of some scores."""
    absent, present = scores
    spread = sqrt((absent.var(ddof=1) + present.var(ddof=1)) / 2)
    difference = float(present.mean() - absent.mean())
    return Detectability(difference / spread if spread else float(np.sign(difference)) * np.inf, auc(scores))


def auc(scores: Scores) -> float:
    """Area under the ROC curve: the share of pairs whose score with the signal is the higher one, ties counting half."""
    from scipy.stats import rankdata

    absent, present = scores
    ranks = rankdata(np.concatenate([absent, present]))[len(absent) :]
    return float((ranks.sum() - len(present) * (len(present) + 1) / 2) / (len(absent) * len(present)))


def unbiased_d_squared(absent: np.ndarray, present: np.ndarray, channels: np.ndarray) -> float:
    """d′² of the Hotelling observer of some channels without the excess that few independent images give it; may be negative.

    ``(ν − c − 1)/ν · D² − c·(1/n + 1/m)`` with ν = n + m − 2 and D² the squared Mahalanobis distance of all images (normal
    channel outputs of equal covariance).

    Raises
    ------
    ValueError
        With too few images for the channels.
    """
    outputs = [_without_mean(x).reshape(len(x), -1) @ channels.reshape(len(channels), -1).T for x in (absent, present)]
    n, m = map(len, outputs)
    freedom, c = n + m - 2, len(channels)
    if freedom <= c + 1:
        raise ValueError(f"{n} and {m} images are too few for {c} channels: expected more than {c + 3} together")
    pooled = sum((len(x) - 1) * np.atleast_2d(np.cov(x, rowvar=False)) for x in outputs) / freedom
    difference = outputs[1].mean(axis=0) - outputs[0].mean(axis=0)
    squared = float(difference @ np.linalg.solve(pooled, difference))
    return (freedom - c - 1) / freedom * squared - c * (1 / n + 1 / m)


@dataclass(frozen=True)
class Found:
    """Where an observer that does not know the place looks.

    Attributes
    ----------
    score
        Its highest score within reach, [n].
    distance
        Of that place to the middle, in pixels, [n].
    """

    score: np.ndarray
    distance: np.ndarray


def searched(images: np.ndarray, template: np.ndarray, reach: float) -> Found:
    """The highest score of a template within some pixels of the middle of each image.

    Parameters
    ----------
    images
        Regions, [n, N, N], large enough for the template at every place within reach.
    template
        What the observer looks for, [K, K] with K odd; its mean is taken off.
    reach
        Largest distance from the middle in pixels.

    Raises
    ------
    ValueError
        When the images are too small.
    """
    from scipy.signal import fftconvolve

    kernel = template - template.mean()
    scores = fftconvolve(images, kernel[None, ::-1, ::-1], mode="valid", axes=(1, 2))
    side = scores.shape[-1]
    if 2 * reach + 1 > side + 1e-9:
        raise ValueError(f"images of {images.shape[-1]} pixels are too small to search {reach:g} pixels around their middle")
    distance = np.sqrt(_squared_radius(side))
    scores = np.where(distance <= reach, scores, -np.inf).reshape(len(images), -1)
    best = scores.argmax(axis=1)
    return Found(scores[np.arange(len(images)), best], distance.ravel()[best])


def localisation_auc(absent: Found, present: Found, tolerance: float) -> float:
    """Area under the LROC curve: the share of pairs whose image with the signal scores higher, and at its place.

    That is within ``tolerance`` pixels of the middle of :func:`searched`'s images.
    """
    right = present.distance <= tolerance
    higher = (present.score[:, None] > absent.score) + 0.5 * (present.score[:, None] == absent.score)
    return float((right[:, None] * higher).mean())


def _by_others(
    outputs: Sequence[np.ndarray],
    trained: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]],
    groups: tuple[ArrayLike, ArrayLike] | None,
    least: int,
) -> Scores:
    """Scores of each group's images by an observer that the others trained; each observer's scores have a mean variance of 1."""
    labels = [np.asarray(g) for g in groups] if groups is not None else [np.arange(len(x)) for x in outputs]
    scores = [np.empty(len(x)) for x in outputs]
    for group in np.unique(np.concatenate(labels)):
        inside = [own == group for own in labels]
        rest = [x[~mask] for x, mask in zip(outputs, inside, strict=True)]
        if min(map(len, rest)) < least:
            raise ValueError(
                f"without group {group} there are {len(rest[0])} images without and {len(rest[1])} with the signal: expected "
                f"at least {least} of each"
            )
        score = trained(*rest)
        learned = [score(x) for x in rest]
        scale = sqrt(sum(x.var() for x in learned) / 2) or 1.0
        middle = sum(x.mean() for x in learned) / 2
        for own, x, mask in zip(scores, outputs, inside, strict=True):
            own[mask] = (score(x[mask]) - middle) / scale
    return scores[0], scores[1]


def _without_mean(images: np.ndarray) -> np.ndarray:
    return images - images.mean(axis=(1, 2), keepdims=True)


def _squared_radius(side: int) -> np.ndarray:
    """Squared distance from the middle of a region in pixels, [side, side]."""
    at = np.arange(side) - (side - 1) / 2
    return at[:, None] ** 2 + at**2
