"""Parallel-beam projection and filtered back-projection through the Fourier-slice theorem.

A slice and its sinogram are related exactly by their spectra: the 1-D spectrum of the projection at angle θ is
the 2-D spectrum of the slice along the line at θ (Kak & Slaney, Principles of Computerized Tomographic Imaging,
§3.2). A non-uniform FFT reads that line to a chosen tolerance, so nothing is interpolated in image or sinogram and
the cost is N² log N instead of the N³ of ray sums.

Geometry, with the side of a pixel as the unit of length: pixel centres at ``i − (N−1)/2``, x to the right along
columns and y up along falling rows; detector cell ``j`` at ``s = j − (M−1)/2``; the ray at angle θ measures
``∫ f dl`` along ``x·cos θ + y·sin θ = s``; angles are equally spaced over [0, π).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import scipy.fft
import torch
from torch import Tensor

FILTERS = ("ram-lak", "shepp-logan", "cosine", "hann")


class ParallelBeam:
    """Projector and filtered back-projection for square slices of one size.

    Parameters
    ----------
    size
        N, pixels along a side.
    views
        Number of angles over [0, π).
    tolerance
        Relative accuracy asked of the non-uniform FFT.

    Raises
    ------
    ValueError
        When a number is not positive.
    """

    def __init__(self, size: int, views: int, tolerance: float = 1e-4) -> None:
        for name, value in (("size", size), ("views", views), ("tolerance", tolerance)):
            if not value > 0:
                raise ValueError(f"{name} is {value}: expected a positive number")
        self.size, self.views, self.tolerance = int(size), int(views), tolerance
        # Even, fast for the FFT, and wider than the diagonal, so that no ray of the slice wraps around.
        self.detectors = _fast_even(int(np.ceil(size * np.sqrt(2.0))) + 16)

    @cached_property
    def angles(self) -> np.ndarray:
        """θ in radians, [views]."""
        return np.arange(self.views) * (np.pi / self.views)

    @cached_property
    def detector_px(self) -> np.ndarray:
        """Signed distance of each detector cell from the axis in pixels, [detectors]."""
        return np.arange(self.detectors) - (self.detectors - 1) / 2

    @cached_property
    def _lines(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Spectral coordinates (rows, columns) in radians per pixel and the half-pixel phase, one per (view, k)."""
        k = 2.0 * np.pi * np.arange(self.detectors // 2 + 1) / self.detectors
        row = -np.sin(self.angles)[:, None] * k
        column = np.cos(self.angles)[:, None] * k
        image_shift = 0.5 if self.size % 2 == 0 else 0.0
        # The slice's centre lies between pixels for even sizes and the detector's always does (M is even).
        phase = np.exp(-1j * (image_shift * (row + column) - 0.5 * k))
        return row.ravel().astype(np.float32), column.ravel().astype(np.float32), phase.astype(np.complex64)

    def project(self, image: Tensor) -> Tensor:
        """Line integrals of ``image`` [B, N, N] (per pixel) → sinogram [B, views, detectors] (dimensionless), float32."""
        self._check(image, (self.size, self.size))
        return self._each(self._project, image)

    def backproject(self, sinogram: Tensor, filter_name: str = "ram-lak") -> Tensor:
        """Filtered back-projection of ``sinogram`` [B, views, detectors] → image [B, N, N] (per pixel), float32."""
        self._check(sinogram, (self.views, self.detectors))
        response = ramp_response(2 * self.detectors, filter_name)
        return self._each(lambda one: self._backproject(one, response), sinogram)

    @staticmethod
    def _each(function: Callable[[np.ndarray], np.ndarray], batch: Tensor) -> Tensor:
        # One by one and on one thread: the rounding of a batched or threaded transform depends on the batch and on
        # chance, and a count that is drawn from it may too.
        done = [function(one) for one in batch.detach().cpu().numpy()]
        return torch.from_numpy(np.stack(done)).to(batch.device)

    def _project(self, image: np.ndarray) -> np.ndarray:
        import finufft

        row, column, phase = self._lines
        spectrum = finufft.nufft2d2(row, column, image.astype(np.complex64), eps=self.tolerance, isign=-1, nthreads=1)
        spectrum = spectrum.reshape(self.views, -1) * phase
        # Detector cell 0 of the inverse FFT stands at s = 0; roll it to the middle.
        sinogram = np.fft.fftshift(scipy.fft.irfft(spectrum, n=self.detectors, axis=-1), axes=-1)
        return sinogram.astype(np.float32)

    def _backproject(self, sinogram: np.ndarray, response: np.ndarray) -> np.ndarray:
        import finufft

        row, column, phase = self._lines
        spectrum = scipy.fft.rfft(sinogram, n=2 * self.detectors, axis=-1) * response
        filtered = scipy.fft.irfft(spectrum, n=2 * self.detectors, axis=-1)[..., : self.detectors]
        half = scipy.fft.rfft(np.fft.ifftshift(filtered, axes=-1), axis=-1)
        half[..., 1:-1] *= 2.0  # the conjugate half of a real signal's spectrum
        half = (half * np.conj(phase) * (np.pi / self.views / self.detectors)).astype(np.complex64)
        image = finufft.nufft2d1(
            row,
            column,
            half.ravel(),
            (self.size, self.size),
            eps=self.tolerance,
            isign=1,
            nthreads=1,
        )
        return np.ascontiguousarray(image.real, dtype=np.float32)

    def _check(self, data: Tensor, shape: tuple[int, int]) -> None:
        if data.ndim != 3 or tuple(data.shape[1:]) != shape:
            raise ValueError(f"got shape {tuple(data.shape)}: expected [batch, {shape[0]}, {shape[1]}]")


def ramp_response(length: int, filter_name: str) -> np.ndarray:
    """Frequency response of the FBP filter for rfft bins, [length/2 + 1], per sample spacing.

    The ramp is the transform of its band-limited kernel (Kak & Slaney, eq. 3.29), which keeps the mean exact; the
    window is the usual one of the name.

    Raises
    ------
    ValueError
        For a filter that does not exist; the valid ones are listed.
    """
    if filter_name not in FILTERS:
        raise ValueError(f"filter '{filter_name}' is unknown: use one of {', '.join(FILTERS)}")
    n = np.concatenate([np.arange(0, length // 2 + 1), np.arange(-length // 2 + 1, 0)])
    kernel = np.zeros(length)
    odd = n % 2 == 1
    kernel[odd] = -1.0 / (np.pi * n[odd]) ** 2
    kernel[0] = 0.25
    response = np.fft.rfft(kernel).real
    nu = np.fft.rfftfreq(length)  # cycles per sample, 0..0.5
    window = {
        "ram-lak": np.ones_like(nu),
        "shepp-logan": np.sinc(nu),
        "cosine": np.cos(np.pi * nu),
        "hann": 0.5 + 0.5 * np.cos(2.0 * np.pi * nu),
    }[filter_name]
    return response * window


def _fast_even(n: int) -> int:
    n += n % 2
    while scipy.fft.next_fast_len(n, real=True) != n or n % 2:
        n += 1
    return n
