"""Parallel-beam projection and filtered back-projection through the Fourier-slice theorem.

A slice and its sinogram are related exactly by their spectra: the 1-D spectrum of the projection at angle θ is
the 2-D spectrum of the slice along the line at θ (Kak & Slaney, Principles of Computerized Tomographic Imaging,
§3.2). A non-uniform FFT computes that line to a chosen tolerance, so nothing is interpolated in image or sinogram and
the cost is N² log N instead of the N³ of ray sums. On the CPU it is FINUFFT, on an accelerator
:mod:`ipv2_bench.physics.gridding`, which needs nothing but torch and transforms a whole batch at once.

Geometry, with the side of a pixel as the unit of length: pixel centres at ``i − (N−1)/2``, x to the right along
columns and y up along falling rows; detector cell ``j`` at ``s = j − (M−1)/2``; the ray at angle θ measures
``∫ f dl`` along ``x·cos θ + y·sin θ = s``; angles are equally spaced over [0, π).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from ipv2_bench.physics.filters import ramp_response
from ipv2_bench.physics.gridding import GriddedBeam
from ipv2_bench.processes import in_threads

MOST_RESPONSES = 64
"""Filter responses that a projector keeps: pixel sizes differ between patients, and there are thousands of these."""


class ParallelBeam:
    """Projector and filtered back-projection for square slices of one size.

    Parameters
    ----------
    size
        N, pixels along a side.
    views
        Number of angles over [0, π).
    tolerance
        Relative accuracy of the non-uniform FFT.
    precise
        Compute in float64, with a tolerance of 1e-12, on a CPU: for results that are rounded and must be the same everywhere.

    Raises
    ------
    ValueError
        When a number is not positive.
    """

    def __init__(self, size: int, views: int, tolerance: float = 1e-4, precise: bool = False) -> None:
        for name, value in (("size", size), ("views", views), ("tolerance", tolerance)):
            if not value > 0:
                raise ValueError(f"{name} is {value}: expected a positive number")
        self.size, self.views, self.tolerance = int(size), int(views), 1e-12 if precise else tolerance
        self._real: Any = np.float64 if precise else np.float32
        self._complex: Any = np.complex128 if precise else np.complex64
        # Even, fast for the FFT, and wider than the diagonal, so that no ray of the slice wraps around.
        self.detectors = _fast_even(int(np.ceil(size * np.sqrt(2.0))) + 16)
        self._plans = threading.local()
        self._gridded: dict[torch.device, GriddedBeam] = {}
        self._responses: dict[tuple[str, float], np.ndarray] = {}
        self._on_device: dict[tuple[torch.device, str, tuple[float, ...]], Tensor] = {}

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
        # The slice's centre is between pixels for even sizes and the detector's always is (M is even).
        phase = np.exp(-1j * (image_shift * (row + column) - 0.5 * k))
        return row.ravel().astype(self._real), column.ravel().astype(self._real), phase.astype(self._complex)

    @cached_property
    def _weights(self) -> np.ndarray:
        """Factors of a line's spectrum before the adjoint transform: the conjugate phase and the area of its points."""
        weights = np.conj(self._lines[2]) * (np.pi / self.views / self.detectors)
        weights[:, 1:-1] *= 2.0  # the conjugate half of a real signal's spectrum
        return weights.astype(self._complex)

    def project(self, image: Tensor) -> Tensor:
        """Line integrals of ``image`` [B, N, N] (per pixel) → sinogram [B, views, detectors], float32 (float64 if precise)."""
        self._check(image, (self.size, self.size))
        if image.device.type != "cpu":
            return self._gridded_on(image.device).project(image.float())
        return self._slice_by_slice(self._project, image)

    def backproject(self, sinogram: Tensor, filter_name: str = "ram-lak", ends: Sequence[float] | None = None) -> Tensor:
        """Filtered back-projection of ``sinogram`` [B, views, detectors] → image [B, N, N] (per pixel), like :meth:`project`.

        ``ends``, one for each slice: where its filter's window ends, as a share of the detector's limit; 1 for ``None``.
        """
        self._check(sinogram, (self.views, self.detectors))
        each = (1.0,) * len(sinogram) if ends is None else tuple(ends)
        if sinogram.device.type != "cpu":
            shared = each[:1] if len(set(each)) == 1 else each
            response = self._responses_on(sinogram.device, filter_name, shared)
            return self._gridded_on(sinogram.device).backproject(sinogram.float(), response)
        return self._slice_by_slice(self._backproject, sinogram, [self._response(filter_name, end) for end in each])

    def _response(self, filter_name: str, end: float) -> np.ndarray:
        """The filter's response at twice the detector's length, computed once."""
        key = (filter_name, end)
        response = self._responses.get(key)
        if response is None:
            if len(self._responses) > MOST_RESPONSES:
                self._responses.clear()  # perhaps under other threads, which hold what they have found
            response = ramp_response(2 * self.detectors, filter_name, end).astype(self._real)
            self._responses[key] = response
        return response

    def _responses_on(self, device: torch.device, filter_name: str, ends: tuple[float, ...]) -> Tensor:
        """Responses for slices with windows that end at ``ends``, [len(ends), 1, detectors + 1], taken to a device once."""
        key = (device, filter_name, ends)
        moved = self._on_device.get(key)
        if moved is None:
            if len(self._on_device) > MOST_RESPONSES:
                self._on_device.clear()
            responses = np.stack([self._response(filter_name, end) for end in ends])[:, None]
            moved = torch.from_numpy(responses).to(device)
            self._on_device[key] = moved
        return moved

    def _gridded_on(self, device: torch.device) -> GriddedBeam:
        """The same operators in torch on an accelerator, built once per device."""
        if device not in self._gridded:
            row, column, phase = self._lines
            self._gridded[device] = GriddedBeam(self.size, row, column, phase, self._weights, device)
        return self._gridded[device]

    def _slice_by_slice(self, function: Callable[..., np.ndarray], batch: Tensor, *more: Sequence[np.ndarray]) -> Tensor:
        # Each slice on one thread: the rounding of a batched or threaded transform depends on the batch and on the
        # threads' timing, and so may a photon count that is drawn from the result.
        slices = np.ascontiguousarray(batch.detach().numpy(), dtype=self._real)
        return torch.from_numpy(np.stack(in_threads(lambda each: function(*each), list(zip(slices, *more, strict=True)))))

    def _plan(self, kind: int) -> Any:
        """FINUFFT's plan of type 1 or 2 with its points sorted; one per thread, since a plan serves one thread at a time."""
        import finufft

        plans = self._plans.__dict__.setdefault("by_kind", {})
        if kind not in plans:
            row, column, _ = self._lines
            plans[kind] = finufft.Plan(
                kind,
                (self.size, self.size),
                eps=self.tolerance,
                isign=1 if kind == 1 else -1,
                dtype=np.dtype(self._complex).name,
                nthreads=1,
            )
            plans[kind].setpts(row, column)
        return plans[kind]

    def _project(self, image: np.ndarray) -> np.ndarray:
        spectrum = self._plan(2).execute(image.astype(self._complex)).reshape(self.views, -1) * self._lines[2]
        # Detector cell 0 of the inverse FFT is at s = 0; roll it to the middle.
        return np.fft.fftshift(scipy.fft.irfft(spectrum, n=self.detectors, axis=-1), axes=-1)

    def _backproject(self, sinogram: np.ndarray, response: np.ndarray) -> np.ndarray:
        spectrum = scipy.fft.rfft(sinogram, n=2 * self.detectors, axis=-1) * response
        filtered = scipy.fft.irfft(spectrum, n=2 * self.detectors, axis=-1)[..., : self.detectors]
        half = scipy.fft.rfft(np.fft.ifftshift(filtered, axes=-1), axis=-1) * self._weights
        return self._plan(1).execute(half.ravel()).real

    def _check(self, data: Tensor, shape: tuple[int, int]) -> None:
        if data.ndim != 3 or tuple(data.shape[1:]) != shape:
            raise ValueError(f"got shape {tuple(data.shape)}: expected [batch, {shape[0]}, {shape[1]}]")


def _fast_even(n: int) -> int:
    n += n % 2
    while scipy.fft.next_fast_len(n, real=True) != n or n % 2:
        n += 1
    return n
