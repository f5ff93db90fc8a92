"""Calibration of module 2: the number of photons at which its noise is as strong as that of the uLDCT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage

from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import numpy_generator, torch_generator
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.purification.noise_level import LEAST_PIXELS, lung_region, noise_level, outside_region


@dataclass(frozen=True)
class Calibration:
    """Result of a calibration.

    Attributes
    ----------
    add_noise
        Module 2 with the calibrated photons.
    interval
        95 % interval of the photons, from a bootstrap over patients (over slices where there are fewer than three patients).
    levels
        Region → noise level of the uLDCT and of A(n) in HU, fine texture alone
        (:func:`~ipv2_bench.purification.noise_level.noise_level`), anatomy included.
    slices
        Number of slices measured.
    """

    add_noise: AddNoise
    interval: tuple[float, float]
    levels: dict[str, tuple[float, float]]
    slices: int


def calibrate(
    add_noise: AddNoise,
    low: np.ndarray,
    normal: np.ndarray | None,
    pixel_mm: np.ndarray,
    seed: int,
    rounds: int = 6,
    patient: Sequence[str] | None = None,
) -> Calibration:
    """Calibrate the photons, so that A(n) has the lung noise of the uLDCT.

    Parameters
    ----------
    add_noise
        Starting point; only its photons change, and nothing for the published model.
    low, normal
        Training pairs [n, N, N] in [0, 1]; a few dozen are enough. Without ``normal`` the uLDCT is smoothed (a Gaussian
        of 1 px, which keeps its line integrals) and noise is added to that, as if it were free of it. Fine anatomy then
        counts as noise: the photons were 9 % too low on the phantom and 2 % too high on a virtual scan, and 5 to 22 % too
        low where less noise (90 and 56 HU in the lung) let more anatomy show.
    pixel_mm
        Side of a pixel in mm, [n].
    seed
        Seed of the noise and of the bootstrap.
    rounds
        Rounds of the fixed-point search, and draws of its last step.
    patient
        Patient of each slice, n labels, for the interval.

    Raises
    ------
    InputError
        When no pair shows lung to measure in.
    """
    if normal is None:
        normal = np.stack([ndimage.gaussian_filter(u, 1.0) for u in low])
        add_noise = replace(add_noise, acquisition=replace(add_noise.acquisition, inserted=False))
    regions = [lung_region(u, n) for u, n in zip(low, normal, strict=True)]
    keep = [i for i, r in enumerate(regions) if r.sum() >= LEAST_PIXELS]
    if not keep:
        raise InputError("no training pair shows lung to calibrate module 2 in: check the HU window and the masks")
    lungs = [regions[i] for i in keep]
    weight = np.array([r.sum() for r in lungs], float)
    # Anatomy has fine texture of its own, in the uLDCT as in the NDCT.
    texture, target = _squares(normal[keep], lungs), _squares(low[keep], lungs)
    clean = torch.from_numpy(np.ascontiguousarray(normal[keep], dtype=np.float32))[:, None]
    mm = torch.from_numpy(np.ascontiguousarray(pixel_mm[keep])).float()

    def simulated(module: AddNoise, draw: int) -> np.ndarray:
        generators = [torch_generator(seed, "calibration", draw, i) for i in keep]
        return module(clean, mm, generators)[:, 0].numpy()

    def variance_ratio(simulated_squares: np.ndarray, weights: np.ndarray) -> float:
        return max(weights @ (simulated_squares - texture), 1e-12) / max(weights @ (target - texture), 1e-12)

    def with_photons_times(module: AddNoise, factor: float) -> AddNoise:
        # Coarse, so that every CPU gives the same.
        photons = float(f"{module.acquisition.photons * float(np.clip(factor, 0.1, 10.0)):.4g}")
        return replace(module, acquisition=replace(module.acquisition, photons=photons))

    if add_noise.dose_model != "published":
        # The variance of the noise is proportional to 1/photons but for clipping and starvation, so this is repeated.
        for draw in range(rounds):
            squares = _squares(simulated(add_noise, draw), lungs)
            add_noise = with_photons_times(add_noise, variance_ratio(squares, weight))
    # One draw varies by some percent, so the last step is the mean of several.
    last = np.mean([_squares(simulated(add_noise, rounds + draw), lungs) for draw in range(rounds)], axis=0)
    patients = [] if patient is None else [patient[i] for i in keep]
    groups = np.asarray(patients if len(set(patients)) > 2 else keep)
    resampled = _bootstrap_weights(groups, weight, numpy_generator(seed, "calibration", "bootstrap"))
    factors = [variance_ratio(last, weights) for weights in resampled]
    interval = np.percentile(factors, (2.5, 97.5)) * add_noise.acquisition.photons
    if add_noise.dose_model != "published":
        add_noise = with_photons_times(add_noise, variance_ratio(last, weight))
    final = simulated(add_noise, 2 * rounds)
    outside = [outside_region(low[i], normal[i]) for i in keep]
    levels = {
        name: (_level_hu(low[keep], region, add_noise), _level_hu(final, region, add_noise))
        for name, region in (("lung", lungs), ("background", outside))
        if any(r.sum() >= LEAST_PIXELS for r in region)
    }
    return Calibration(add_noise, (float(f"{interval[0]:.4g}"), float(f"{interval[1]:.4g}")), levels, len(keep))


def _squares(images: np.ndarray, regions: Sequence[np.ndarray]) -> np.ndarray:
    """Squared noise level of each slice, [n]."""
    return np.array([noise_level(x, r) ** 2 for x, r in zip(images, regions, strict=True)])


def _level_hu(images: np.ndarray, regions: Sequence[np.ndarray], add_noise: AddNoise) -> float:
    """Root of the mean squared noise level in HU, slices weighted by the size of their region."""
    large = [i for i, r in enumerate(regions) if r.sum() >= LEAST_PIXELS]
    squares = _squares(images[large], [regions[i] for i in large])
    mean = np.average(squares, weights=[regions[i].sum() for i in large])
    return float(f"{np.sqrt(mean) * add_noise.window.width:.4g}")


def _bootstrap_weights(
    groups: np.ndarray, weight: np.ndarray, rng: np.random.Generator, draws: int = 1000
) -> np.ndarray:
    """Weights of the slices when whole groups are drawn with replacement, [draws, n]."""
    _, member = np.unique(groups, return_inverse=True)
    n = int(member.max()) + 1
    return rng.multinomial(n, np.full(n, 1.0 / n), size=draws)[:, member] * weight
