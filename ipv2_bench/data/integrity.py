"""Problems of a data set that no single file shows: gaps, HU scale, copies, leakage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench.data.findings import Findings

if TYPE_CHECKING:
    from ipv2_bench.data.dicom.series import Series

GAP = 1.5
"""Distance of two neighbouring slices, as a multiple of the usual distance, above which a slice is missing between them."""

DARKEST_HU = -700.0
BRIGHTEST_HU = 4000.0
"""In a chest CT at least 1 % of the pixels is darker than the first, being air, and hardly any is brighter than the second."""


def check_series(series: Series, findings: Findings) -> None:
    """Add gaps between slices, and a scale that is not HU, to ``findings``."""
    name = series.names[0]
    steps = np.diff(series.position_mm)
    if len(steps) > 1:
        usual = float(np.median(steps))
        for i in np.flatnonzero(steps > GAP * usual).tolist():
            text = f"gap of {steps[i]:.4g} mm behind this slice in a series of {usual:.4g} mm; expected even distances"
            findings.add(series.names[i], "gap", f"{text}; bring the missing slices or cut the series in two")
    dark, bright = (float(x) for x in np.percentile(series.hu[:: max(1, len(series.hu) // 16)], (1.0, 99.99)))
    if dark > DARKEST_HU:
        text = f"the darkest hundredth of the series is above {dark:.0f} HU; expected air at about -1000"
        findings.add(name, "HU range", f"{text}; check RescaleIntercept")
    if bright > BRIGHTEST_HU:
        text = f"the brightest pixels of the series are at {bright:.0f} HU; expected {BRIGHTEST_HU:.0f} at most"
        findings.add(name, "HU range", f"{text}; check RescaleSlope, or metal")


@dataclass(frozen=True)
class Copy:
    """A slice that is compared with others to find copies.

    Attributes
    ----------
    name
        File of the slice.
    content
        Hash of its pixels, of :func:`content_hash`.
    owner
        Patient, or part of a split, that must not share pixels with others; empty where it is not known.
    """

    name: str
    content: str
    owner: str


def content_hash(image: np.ndarray) -> str:
    """SHA-256 of an image's pixels, shape and type, 64 hex digits."""
    return hashlib.sha256(
        f"{image.shape}{image.dtype.str}".encode() + np.ascontiguousarray(image).tobytes()
    ).hexdigest()


def check_copies(slices: Iterable[Copy], findings: Findings, owner: str) -> None:
    """Add slices with equal pixels to ``findings``: as ``leakage`` when their owners differ, else as ``duplicate``.

    ``owner`` names the kind of the owners, such as ``patient``.
    """
    first: dict[str, Copy] = {}
    for one in slices:
        other = first.setdefault(one.content, one)
        if other is one:
            continue
        if one.owner and other.owner and one.owner != other.owner:
            text = f"equal pixels in {other.name}, of another {owner}; expected no slice on two sides; remove one"
            findings.add(one.name, "leakage", text)
        else:
            findings.add(one.name, "duplicate", f"equal pixels in {other.name}; expected each slice once; remove one")
