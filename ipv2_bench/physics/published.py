"""Add Noise as the public script of IPv2 does it, for parity with it: scikit-image's Radon transform on the inscribed circle.

The script's geometry and interpolation are computed by non-uniform FFTs instead of by rotating the slice once for each view:
the axis is at pixel N//2, detector cells are one pixel wide at whole numbers, a view sees only what lies inside of the rotated
square, and the back-projection interpolates linearly between cells, which multiplies the spectrum by sinc² and adds its periods.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from ipv2_bench.physics.filters import ramp_response
from ipv2_bench.physics.poisson import poisson_counts

FLUX = 200.0 * 1000.0 * (0.015 * 2.5 + 0.1002)
"""Incident photons of the script at 2.5 mAs: 200 mAs, 1000 photons per mAs, k = 0.015·mAs + 0.1002."""

PATH_SCALE = 1.0 / 500.0
"""Factor of the script from line integrals of [0, 1] slices in pixels to attenuation."""

PERIODS = 6
"""Half periods of the interpolated spectrum that are summed: what is left out is under 2 % of the noise power."""

TOLERANCE = 1e-4
"""Relative accuracy of the non-uniform FFTs."""


class PublishedScan:
    """Radon transform and filtered back-projection (Hann) of the public script for slices of one size.

    Parameters
    ----------
    size
        N, pixels along a side, even; also the number of views over 180° and of detector cells.
    """

    def __init__(self, size: int) -> None:
        self.size, self.axis = size, size // 2
        self.angles = np.arange(size) * (np.pi / size)
        self.detectors = _even(scipy.fft.next_fast_len(int(np.ceil(size * np.sqrt(2.0))) + 16, real=True))
        self.period = _even(scipy.fft.next_fast_len(size + 8, real=True))
        rows, columns = np.mgrid[:size, :size] - self.axis
        self.inside = rows**2 + columns**2 <= self.axis**2
        self._alone = threading.Lock()  # a plan serves one thread at a time

    def project(self, image: np.ndarray) -> np.ndarray:
        """Line integrals of a slice [N, N] in pixels, [views, N] float32."""
        with self._alone:
            spectrum = self._forward.execute(np.where(self.inside, image, 0.0).astype(np.complex64))
        spectrum = spectrum.reshape(self.size, -1) * self._interpolation
        rays = scipy.fft.irfft(spectrum, n=self.detectors, axis=-1)
        rays = np.concatenate([rays[:, -self.axis :], rays[:, : self.size - self.axis]], axis=1)
        if image[~self.inside].any():
            half = self.size // 2
            # A view at 90° more sees the slice turned back by 90°.
            for views, turned in ((slice(0, half), image), (slice(half, None), self._turned(image))):
                rays[views] += (self._corners @ turned[~self.inside].astype(np.float32)).reshape(half, self.size)
        return rays.astype(np.float32)

    def backproject(self, rays: np.ndarray) -> np.ndarray:
        """Filtered back-projection of rays [views, N] with linear interpolation, [N, N] float32, 0 outside of the circle."""
        padded = 2 * len(self._response) - 2
        filtered = scipy.fft.irfft(scipy.fft.rfft(rays, n=padded, axis=-1) * self._response, n=padded, axis=-1)
        cells = np.zeros((self.size, self.period), np.float32)
        # One cell more than was measured: the script's rays are those of the square, zero outside of the circle.
        cells[:, : self.size - self.axis + 1] = filtered[:, self.axis : self.size + 1]
        cells[:, -self.axis :] = filtered[:, : self.axis]
        half = scipy.fft.rfft(cells, axis=-1)
        whole = np.concatenate([half, np.conj(half[:, -2:0:-1])], axis=1)
        spectrum = whole[:, np.arange(len(self._weights)) % self.period] * self._weights
        with self._alone:
            image = self._adjoint.execute(spectrum.astype(np.complex64).ravel()).real
        return np.where(self.inside, image, 0.0).astype(np.float32)

    @cached_property
    def _interpolation(self) -> np.ndarray:
        """Spectrum of the bilinear interpolation by which the script rotates a slice, along the line of each view."""
        frequency = np.arange(self.detectors // 2 + 1) / self.detectors
        cosine, sine = (np.abs(f(self.angles))[:, None] for f in (np.cos, np.sin))
        return (np.sinc(frequency * cosine) ** 2 * np.sinc(frequency * sine) ** 2).astype(np.float32)

    @cached_property
    def _forward(self) -> Any:
        frequency = 2.0 * np.pi * np.arange(self.detectors // 2 + 1) / self.detectors
        return self._plan(2, frequency)

    @cached_property
    def _adjoint(self) -> Any:
        return self._plan(1, 2.0 * np.pi * np.arange(len(self._weights)) / self.period)

    def _plan(self, kind: int, frequency: np.ndarray) -> Any:
        import finufft

        shape, sign = (self.size, self.size), 1 if kind == 1 else -1
        plan = finufft.Plan(kind, shape, eps=TOLERANCE, isign=sign, dtype="complex64", nthreads=1)
        row, column = -np.sin(self.angles)[:, None] * frequency, np.cos(self.angles)[:, None] * frequency
        plan.setpts(row.ravel().astype(np.float32), column.ravel().astype(np.float32))
        return plan

    @cached_property
    def _weights(self) -> np.ndarray:
        """Factors of the interpolated spectrum at the multiples of 1/period."""
        frequency = np.arange(PERIODS * self.period // 2 + 1) / self.period
        weights = np.sinc(frequency) ** 2 * (np.pi / self.size / self.period)
        weights[0] /= 2.0
        return weights.astype(np.float32)

    @cached_property
    def _response(self) -> np.ndarray:
        """The ramp from its band-limited kernel times the Hann window, for rfft bins of the padded rays."""
        padded = max(64, int(2 ** np.ceil(np.log2(2 * self.size))))
        window = np.fft.fftshift(np.hanning(padded))[: padded // 2 + 1]
        return (2.0 * ramp_response(padded, "ram-lak") * window).astype(np.float32)

    def _turned(self, image: np.ndarray) -> np.ndarray:
        """The slice turned by −90° about the axis pixel; what turns out of the square is dropped."""
        out = np.zeros_like(image)
        # The value at (row, column) from the axis comes from (−column, row).
        rows, columns = np.mgrid[: self.size, : self.size] - self.axis
        from_row, from_column = -columns + self.axis, rows + self.axis
        there = (from_row >= 0) & (from_row < self.size)
        out[there] = image[from_row[there], from_column[there]]
        return out

    @cached_property
    def _corners(self) -> Any:
        """Sparse matrix from the pixels outside of the circle to the rays of the first half of the views."""
        from scipy import sparse

        rows, columns = (axis[~self.inside].astype(np.float32) for axis in np.mgrid[: self.size, : self.size] - self.axis)
        entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for view in range(self.size // 2):
            cosine, sine = np.float32(np.cos(self.angles[view])), np.float32(np.sin(self.angles[view]))
            across = columns * cosine - rows * sine + self.axis
            along = columns * sine + rows * cosine + self.axis
            # Pixels fade over the border of the rotated square, as they are interpolated.
            seen = np.clip(np.minimum(along + 1.0, self.size - along), 0.0, 1.0)
            cell = np.floor(across).astype(int)
            for offset in (-1, 0, 1, 2):
                weight = _footprint(cell + offset - across, abs(float(cosine)), abs(float(sine))) * seen
                used = np.flatnonzero((cell + offset >= 0) & (cell + offset < self.size) & (weight > 0))
                entries.append((view * self.size + cell[used] + offset, used, weight[used]))
        ray, pixel, weight = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        shape = (self.size // 2 * self.size, len(rows))
        return sparse.csr_matrix((weight.astype(np.float32), (ray, pixel)), shape=shape)


def _footprint(at: np.ndarray, cosine: float, sine: float) -> np.ndarray:
    """Projection of the bilinear kernel at an angle, at distances ``at`` from its middle: two triangles, convolved."""
    step = 1.0 / 64
    grid = np.arange(-96, 97) * step
    wide, narrow = max(cosine, sine), max(min(cosine, sine), step)
    triangles = [np.clip(1.0 - np.abs(grid) / width, 0.0, None) for width in (wide, narrow)]
    kernel = np.convolve(triangles[0], triangles[1], mode="same")
    return np.interp(at, grid, kernel / (kernel.sum() * step), left=0.0, right=0.0)


def _even(n: int) -> int:
    return n + n % 2


@lru_cache(maxsize=2)
def published_scan(size: int) -> PublishedScan:
    """The scan of this size, built once."""
    return PublishedScan(size)


def published_counts(path: Tensor, generator: torch.Generator) -> Tensor:
    """Photon counts of the script for scaled path lengths, any shape: Poisson, plus a normal with σ = 0.05·√flux."""
    flux = FLUX * torch.exp(-path)
    noise = torch.randn(path.shape, generator=generator, device=path.device, dtype=path.dtype)
    return poisson_counts(flux, generator) + 0.05 * flux.sqrt() * noise


def published_low_dose(unit: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Slices with the dose model of the public script: [B, N, N] in [0, 1] → the same in 8-bit steps.

    Each slice is stretched to its own minimum and maximum before and after, so HU are lost; path lengths are scaled by
    1/500, the Gaussian part has σ = 0.05·√flux, N angles over 180°, FBP with the Hann filter on the inscribed circle, outside of
    which the slice is 0. The transforms run on a CPU, the draws on the slices' device.

    Raises
    ------
    ValueError
        When slices have an odd number of pixels along a side.
    """
    if unit.shape[-1] % 2:
        raise ValueError(f"slices have {unit.shape[-1]} pixels along a side: the published noise takes an even number")
    scan = published_scan(int(unit.shape[-1]))
    out = []
    for image, generator in zip(unit, generators, strict=True):
        path = torch.from_numpy(scan.project(_stretched(image).cpu().numpy()) * np.float32(PATH_SCALE)).to(image)
        counts = published_counts(path, generator)
        noisy = torch.where(counts > 0, -torch.log(counts.clamp_min(1e-6) / FLUX), torch.zeros_like(counts))
        low = torch.from_numpy(scan.backproject((noisy / PATH_SCALE).cpu().numpy())).to(image)
        out.append(torch.floor(_stretched(low) * 255.0) / 255.0)
    return torch.stack(out)


def _stretched(image: Tensor) -> Tensor:
    """The slice [N, N] stretched to [0, 1] by its minimum and maximum."""
    low = image.min()
    return (image - low) / (image.max() - low).clamp_min(1e-12)
