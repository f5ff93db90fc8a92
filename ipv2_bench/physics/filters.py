"""Filters of filtered back-projection (FBP): the ramp and the windows that it is multiplied with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FILTERS = ("ram-lak", "shepp-logan", "cosine", "hann")
"""Names of the filters."""


def ramp_response(length: int, filter_name: str, end: float = 1.0) -> np.ndarray:
    """Frequency response of the FBP filter for rfft bins, [length/2 + 1], per sample spacing.

    ``end`` is where the window ends, as a share of half a cycle per sample; above 1 it is cut there.

    The ramp is the transform of its band-limited kernel (Kak & Slaney, eq. 3.29), which keeps the mean exact; the
    window is the usual one of the name.

    Raises
    ------
    ValueError
        For a filter that does not exist; the valid ones are listed.
    """
    n = np.concatenate([np.arange(0, length // 2 + 1), np.arange(-length // 2 + 1, 0)])
    kernel = np.zeros(length)
    odd = n % 2 == 1
    kernel[odd] = -1.0 / (np.pi * n[odd]) ** 2
    kernel[0] = 0.25
    response = np.fft.rfft(kernel).real
    frequency = np.fft.rfftfreq(length) / end
    return response * np.where(frequency <= 0.5, filter_window(frequency, filter_name), 0.0)


def filter_window(frequency: np.ndarray, filter_name: str) -> np.ndarray:
    """Window of an FBP filter, the factor of the ramp, at ``frequency`` in cycles per sample, 0 to 0.5.

    Raises
    ------
    ValueError
        For a filter that does not exist; the valid ones are listed.
    """
    windows: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "ram-lak": np.ones_like,
        "shepp-logan": np.sinc,
        "cosine": lambda nu: np.cos(np.pi * nu),
        "hann": lambda nu: 0.5 + 0.5 * np.cos(2.0 * np.pi * nu),
    }
    if filter_name not in windows:
        raise ValueError(f"filter '{filter_name}' is unknown: use one of {', '.join(FILTERS)}")
    return windows[filter_name](frequency)
