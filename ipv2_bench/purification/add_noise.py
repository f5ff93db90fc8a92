"""Module 2 (Add Noise, §3.2): simulated noise in the NDCT, as strong as the uLDCT's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import Acquisition, published_low_dose, scan_noise
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.masks import common_mask


@dataclass(frozen=True)
class AddNoise:
    """A(n).

    Attributes
    ----------
    window
        HU of the slices.
    acquisition
        The simulated scan: cosine filter, no bow-tie, no electronic noise, so not the scanner of the second scan.
    dose_model
        ``physical`` (in HU, calibrated), or ``published`` (the public script: fixed flux, each slice stretched).
    """

    window: Window
    acquisition: Acquisition = Acquisition(photons=3000.0, filter_name="cosine")
    dose_model: str = "physical"

    def __post_init__(self) -> None:
        if self.dose_model not in ("physical", "published"):
            raise ValueError(f"dose_model '{self.dose_model}' is unknown: use physical or published")

    def __call__(self, normal: Tensor, pixel_mm: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """NDCT [B, 1, N, N] in [0, 1] → the same with noise, clipped to [0, 1]; one generator per slice."""
        if self.dose_model == "published":
            return published_low_dose(normal[:, 0], generators)[:, None]
        hu = self.window.hu(normal[:, 0])
        noise = scan_noise(hu, pixel_mm, self.acquisition, generators)
        return self.window.unit(hu + noise)[:, None]

    def identity(self) -> dict:
        """What determines A(n), as plain JSON values."""
        return asdict(self)


def noise_level(image: np.ndarray, region: np.ndarray) -> float:
    """Standard deviation of the fine texture in ``region``, hardly moved by anatomy.

    The slice less its Gaussian mean (σ = 2 px) is measured by the biweight midvariance, which is as robust as the
    median absolute deviation and nearly as efficient as the standard deviation (Beers, Flynn & Gebhardt 1990, eq. 9).
    """
    fine = image - ndimage.gaussian_filter(image, 2.0)
    deviation = (fine[region] - np.median(fine[region])).astype(np.float64)
    mad = np.median(np.abs(deviation))
    if mad == 0.0:
        return 0.0
    u2 = (deviation / (9.0 * mad)) ** 2
    near = u2 < 1.0
    numerator = (deviation[near] ** 2 * (1.0 - u2[near]) ** 4).sum()
    denominator = ((1.0 - u2[near]) * (1.0 - 5.0 * u2[near])).sum()
    return float(np.sqrt(len(deviation) * numerator) / abs(denominator))


def _joint_level(images: np.ndarray, regions: Sequence[np.ndarray]) -> float:
    """Root of the mean squared noise level, each slice counting by its lung."""
    squares = [noise_level(x, r) ** 2 for x, r in zip(images, regions, strict=True)]
    return float(np.sqrt(np.average(squares, weights=[r.sum() for r in regions])))


def lung_region(low: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Where both slices are lung for certain: CM₁ less a rim of three pixels, [N, N]."""
    return ndimage.binary_erosion(common_mask(low, normal, remove_background=True) > 0, iterations=3)


def calibrate(
    add_noise: AddNoise, low: np.ndarray, normal: np.ndarray, pixel_mm: np.ndarray, seed: int, rounds: int = 6
) -> AddNoise:
    """Find the photons that give A(n) the lung noise of the uLDCT.

    Parameters
    ----------
    add_noise
        Where to start; only its photons change.
    low, normal
        Training pairs [n, N, N] in [0, 1]; a few dozen are enough.
    pixel_mm
        [n].
    seed
        Of the noise.
    rounds
        Of the fixed-point search, and draws of its last step.

    Raises
    ------
    InputError
        When no pair shows lung to measure in.
    """
    if add_noise.dose_model == "published":
        return add_noise
    regions = [lung_region(u, n) for u, n in zip(low, normal, strict=True)]
    keep = [i for i, r in enumerate(regions) if r.sum() >= 50]
    if not keep:
        raise InputError("no training pair shows lung to calibrate module 2 in: check the HU window and the masks")
    use = [regions[i] for i in keep]
    # Anatomy has fine texture of its own, in the uLDCT as in the NDCT.
    texture = _joint_level(normal[keep], use) ** 2
    target = max(_joint_level(low[keep], use) ** 2 - texture, 1e-12)
    clean = torch.from_numpy(np.ascontiguousarray(normal[keep]))[:, None]
    mm = torch.from_numpy(np.ascontiguousarray(pixel_mm[keep])).float()

    def ratio(at: AddNoise, draw: int) -> float:
        generators = [torch_generator(seed, "calibration", draw, i) for i in keep]
        noisy = at(clean, mm, generators)[:, 0].numpy()
        return max(_joint_level(noisy, use) ** 2 - texture, 1e-12) / target

    def moved(at: AddNoise, factor: float) -> AddNoise:
        photons = float(f"{at.acquisition.photons * float(np.clip(factor, 0.1, 10.0)):.6g}")
        return replace(at, acquisition=replace(at.acquisition, photons=photons))

    # The variance of the noise goes with 1/photons; clipping and starvation bend this, so it is repeated.
    for draw in range(rounds):
        add_noise = moved(add_noise, ratio(add_noise, draw))
    # One draw jitters by some percent, so the last step is the mean of many.
    add_noise = moved(add_noise, float(np.mean([ratio(add_noise, rounds + draw) for draw in range(rounds)])))
    return add_noise
