"""The dose of a scan as its own noise tells it, so that a scan at a fraction of it can be simulated.

A series seldom says how many photons made it, but its noise does: the photons are those with which the simulated scanner puts as
much noise into the same anatomy. They are found for each slice, since tube current follows the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import minimize_scalar

from ipv2_bench.data.second_scan import area_resize
from ipv2_bench.metrics.anatomy import regions
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import line_integrals, scan_noise
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.noise_level import LEAST_PIXELS, biweight, finest

REGIONS = ("lung", "tissue")
"""Where noise is measured; see :func:`ipv2_bench.metrics.anatomy.regions`."""

CUTOFFS = (0.35, 2.5)
"""Ends of the Hann window in 1/mm between which a series' kernel is looked for: softer than soft tissue's, nearly a bare ramp."""

LEAST_HU = 0.5
"""Less noise than this is that of whole HU: such a slice is taken for free of noise."""

LARGEST_MISFIT = 0.1
"""Spread of the logarithms of an octave's noise by that of the simulated one, over the octaves, beyond which no kernel fits."""

START = 1e6
"""Photons per mm of the detector that the search starts from."""


@dataclass(frozen=True)
class OwnDose:
    """What the noise of a slice tells.

    Attributes
    ----------
    photons
        Photons per mm of the detector and view at the axis, with nothing in the beam.
    hu
        Standard deviation of the noise in HU, by region.
    """

    photons: float
    hu: dict[str, float]


@dataclass(frozen=True)
class Kernel:
    """The reconstruction filter of a series.

    Attributes
    ----------
    scanner
        The scanner with that filter.
    misfit
        How far the texture of its noise is from that of the series; see :data:`LARGEST_MISFIT`.
    """

    scanner: Acquisition
    misfit: float


def own_kernel(hu: Sequence[np.ndarray], pixel_mm: float, acquisition: Acquisition, *key: int | str) -> Kernel | None:
    """The scanner with the reconstruction filter that gives the texture of a series: a Hann window, its end chosen.

    The finest octaves of the noise are compared with those of simulated scans, in soft tissue, whose anatomy adds little to them.

    Parameters
    ----------
    hu
        Some of its slices, [M, M] each, in HU.
    pixel_mm
        Side of a pixel in mm.
    acquisition
        The scanner; its filter, photons and dose are not used.
    key
        Seed of the simulated scans.

    Returns
    -------
    Kernel or None
        ``None`` where no slice shows enough soft tissue, or none carries noise.
    """
    scans = [_Scan(one, pixel_mm, acquisition, *key, "own kernel", k) for k, one in enumerate(hu)]
    scans = [scan for scan in scans if "tissue" in scan.measured]
    if not scans:
        return None

    def with_end(log_cutoff: float) -> Acquisition:
        return replace(acquisition, filter_name="hann", cutoff=round(float(np.exp(log_cutoff)), 3))

    def misfit(log_cutoff: float) -> float:
        filtered = with_end(log_cutoff)
        ratios = np.stack([np.log(scan.ratios(filtered, START)["tissue"]) for scan in scans])
        return float(ratios.mean(0).std())

    best = minimize_scalar(misfit, bounds=tuple(np.log(CUTOFFS)), method="bounded", options={"xatol": 0.02, "maxiter": 12})
    return Kernel(with_end(best.x), float(best.fun))


def own_dose(hu: np.ndarray, pixel_mm: float, size: int, acquisition: Acquisition, *key: int | str) -> OwnDose | None:
    """The photons that explain the noise of a slice.

    The finest octaves of its texture are compared with those of a simulated scan of the same slice, in lung and in soft tissue;
    the photons are the geometric mean of what the two say.

    Parameters
    ----------
    hu
        Slice [M, M] in HU.
    pixel_mm
        Side of its pixels in mm.
    size
        Pixels along a side after averaging, for which the noise is told.
    acquisition
        Views, filter and bow-tie of the scanner; its photons and dose are not used. See :func:`own_kernel`.
    key
        Seed of the simulated scan.

    Returns
    -------
    OwnDose or None
        ``None`` where the slice carries no noise, or where lung and soft tissue are too small to tell.
    """
    scan, photons = _Scan(hu, pixel_mm, acquisition, *key, "own dose"), START
    if not scan.measured:
        return None
    for _ in range(2):  # the second time because noise does not follow the root of few photons
        # Anatomy only adds, so that the octave in which it adds least counts.
        ratios = {name: float(values.min()) for name, values in scan.ratios(acquisition, photons).items()}
        photons /= float(np.exp(np.mean(2.0 * np.log(list(ratios.values())))))
    averaged = area_resize(torch.from_numpy(np.stack([scan.hu, scan.noise])), size).numpy()
    there = noise_regions(averaged[0])
    return OwnDose(photons, {name: ratios[name] * float(averaged[1][there[name]].std()) for name in ratios if name in there})


class _Scan:
    """A slice, and simulated scans of it, whose noise is compared with its own."""

    def __init__(self, hu: np.ndarray, pixel_mm: float, acquisition: Acquisition, *key: int | str) -> None:
        self.hu, self.key = np.asarray(hu, dtype=np.float64), key
        self.slices, self.mm = torch.from_numpy(self.hu)[None], torch.tensor([pixel_mm], dtype=torch.float64)
        self.step = float(np.diff(np.unique(self.hu)).min(initial=1.0))
        self.regions = {name: _flattest(self.hu, region) for name, region in noise_regions(self.hu).items()}
        self.measured = {name: self._octaves_of_scan(region) for name, region in self.regions.items()}
        if any(values[0] < LEAST_HU for values in self.measured.values()):
            self.measured = {}
        elif self.measured:
            self.integrals = line_integrals(self.slices, self.mm, acquisition)

    def _octaves_of_scan(self, region: np.ndarray) -> np.ndarray:
        """Those of the slice, without the noise of its rounding: a twelfth of a step squared."""
        return np.sqrt((octaves(self.hu, region) ** 2 - (self.step * WHITE) ** 2 / 12.0).clip(1e-6))

    def ratios(self, acquisition: Acquisition, photons: float) -> dict[str, np.ndarray]:
        """Noise of the slice by that of a scan with so many photons, by region and octave; ``noise`` [M, M] is that scan's."""
        scan = replace(acquisition, photons=photons, dose=1.0, inserted=False)
        generator = torch_generator(*self.key)
        self.noise = scan_noise(self.slices, self.mm, scan, [generator], self.integrals)[0].numpy()
        return {name: own / octaves(self.noise, self.regions[name]) for name, own in self.measured.items()}


def octaves(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Standard deviation of the finest textures of an image [M, M] in a region, [3].

    What a Gaussian of 0.7 px takes away, what is left between one of 0.7 and one of 1 px, and
    :func:`~ipv2_bench.purification.noise_level.finest`.
    """
    soft = ndimage.gaussian_filter(image, 0.7)
    parts = (image - soft, soft - ndimage.gaussian_filter(image, 1.0), finest(image))
    return np.array([biweight(part[region]) for part in parts])


WHITE = np.array([0.726, 0.181, 1.0])
"""What :func:`octaves` gives for white noise of one HU."""


def _flattest(hu: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The quarter of a region [M, M] with the least slope, away from borders and vessels, whose texture would count as noise."""
    slope = ndimage.gaussian_gradient_magnitude(hu, 2.0)
    return region & (slope <= np.quantile(slope[region], 0.25))


def noise_regions(hu: np.ndarray) -> dict[str, np.ndarray]:
    """Pixels of those of :data:`REGIONS` that are large enough to be measured, boolean [N, N] each, of a slice in HU."""
    window = Window()
    found = regions(window.unit(hu.astype(np.float32)), window)
    return {name: found[name] for name in REGIONS if found[name].sum() >= 4 * LEAST_PIXELS}
