"""The result of a check, and what is measured of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ipv2_bench.data.findings import Finding, Findings
from ipv2_bench.physics.intensity import Window

EXAMPLES = 5
MEASURED = 24
"""Slices whose noise is measured, spread over the data."""


@dataclass
class Checked:
    """The result of a check.

    Attributes
    ----------
    heading
        What the folder holds, in words.
    tables
        Markdown tables of series and noise.
    findings
        What is wrong.
    columns
        Title and images [n, N, N] in [0, 1] of examples.
    """

    heading: str
    tables: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    columns: list[tuple[str, np.ndarray]] = field(default_factory=list)


def spread(n: int, wanted: int) -> list[int]:
    """Indices of at most ``wanted`` of n things, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).astype(int)).tolist() if n else []


def middle(values: Sequence[float]) -> str:
    """The median, in words."""
    return f"{np.median(values):.3g}" if values else "–"


def noise_alone(hu: Sequence[np.ndarray], window: Window) -> dict[str, list[float]]:
    """Noise of each slice by region in HU, before anything is clipped to the window."""
    from ipv2_bench.metrics.anatomy import regions
    from ipv2_bench.purification.noise_level import LEAST_PIXELS, noise_level

    noise: dict[str, list[float]] = {"background": [], "lung": [], "tissue": []}
    for image in hu:
        unit = window.unit(image.astype(np.float32))
        if unit.min() == unit.max():
            continue
        for name, region in regions(unit, window).items():
            if name in noise and region.sum() >= LEAST_PIXELS:
                noise[name].append(noise_level(image.astype(np.float64), region))
    return noise


def measure_pairs(
    checked: Checked,
    findings: Findings,
    examples: Sequence[tuple[np.ndarray, np.ndarray]],
    where: str,
    window: Window,
) -> None:
    """Add the noise of both sides of some pairs, whether they are swapped, and a picture of a few with their masks."""
    from ipv2_bench.purification.masks import common_mask
    from ipv2_bench.purification.noise_level import LEAST_PIXELS, lung_region, noise_level, outside_region

    noise: dict[str, list[list[float]]] = {"lung": [], "background": []}
    for low, normal in examples:
        if min(x.max() - x.min() for x in (low, normal)) == 0:
            continue
        for region, of in (("lung", lung_region), ("background", outside_region)):
            there = of(low, normal)
            if there.sum() >= LEAST_PIXELS:
                noise[region].append([noise_level(x, there) * window.width for x in (low, normal)])
    swapped = sum(low_hu < normal_hu for low_hu, normal_hu in noise["lung"])
    if 2 * swapped > len(noise["lung"]):
        text = f"in {swapped} of {len(noise['lung'])} pairs the uLDCT has less noise in the lung than the NDCT"
        findings.add(where, "swapped", f"{text}; expected it the other way round; exchange the two")
    lines = ["| noise HU | uLDCT | NDCT | slices |", "|---|---|---|---|"]
    for region, levels in noise.items():
        low_hu, normal_hu = ([pair[side] for pair in levels] for side in (0, 1))
        lines.append(f"| {region} | {middle(low_hu)} | {middle(normal_hu)} | {len(levels)} |")
    checked.tables.append("\n".join([*lines, ""]))
    shown = [e for e in examples if e[0].shape == examples[0][0].shape and min(x.max() - x.min() for x in e) > 0]
    shown = [shown[i] for i in spread(len(shown), EXAMPLES)]
    if shown:
        masks = [[common_mask(*e, remove_background=on) / 255.0 for e in shown] for on in (False, True)]
        checked.columns = [
            ("uLDCT", np.stack([e[0] for e in shown])),
            ("NDCT", np.stack([e[1] for e in shown])),
            ("CM", np.stack(masks[0]).astype(np.float32)),
            ("CM without background", np.stack(masks[1]).astype(np.float32)),
        ]
