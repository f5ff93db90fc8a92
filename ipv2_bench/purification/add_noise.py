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
        The simulated scan: Hann filter and no bow-tie by default, so not the scanner of the virtual second scan.
    dose_model
        ``physical`` (in HU, calibrated), or ``published`` (the public script: fixed flux, each slice stretched).
    """

    window: Window
    acquisition: Acquisition = Acquisition(photons=3000.0, filter_name="hann")
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

    The slice less its Gaussian mean (σ = 2 px) is measured by the median absolute deviation. Any shape [N, N].
    """
    fine = image - ndimage.gaussian_filter(image, 2.0)
    values = fine[region]
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def lung_region(low: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Where both slices are lung for certain: CM₁ less a rim of three pixels, [N, N]."""
    return ndimage.binary_erosion(common_mask(low, normal, remove_background=True) > 0, iterations=3)


def calibrate(
    add_noise: AddNoise, low: np.ndarray, normal: np.ndarray, pixel_mm: np.ndarray, seed: int, rounds: int = 12
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
        Of the noise, which is the same in every round.
    rounds
        Of the fixed-point search.

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
    target = np.median([noise_level(low[i], regions[i]) for i in keep])
    clean = torch.from_numpy(np.ascontiguousarray(normal[keep]))[:, None]
    mm = torch.from_numpy(np.ascontiguousarray(pixel_mm[keep])).float()
    for _ in range(rounds):
        generators = [torch_generator(seed, "calibration", i, device="cpu") for i in keep]
        noisy = add_noise(clean, mm, generators)[:, 0].numpy()
        level = np.median([noise_level(x, regions[i]) for x, i in zip(noisy, keep, strict=True)])
        ratio = float(level / target)
        if abs(ratio - 1.0) < 0.005:
            break
        # The variance of the noise goes with 1/photons; clipping and starvation bend this, so it is repeated.
        photons = add_noise.acquisition.photons * float(np.clip(ratio**2, 0.1, 10.0))
        add_noise = replace(add_noise, acquisition=replace(add_noise.acquisition, photons=float(f"{photons:.6g}")))
    return add_noise
