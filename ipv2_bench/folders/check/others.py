"""Checks of what only ``denoise`` reads: volumes of NIfTI and NumPy, and PNG slices without a partner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ipv2_bench.data.findings import Findings, Unusable, shown
from ipv2_bench.data.formats.png import read_png
from ipv2_bench.data.formats.volumes import read_volume
from ipv2_bench.folders.check.report import Checked, middle, noise_alone, spread
from ipv2_bench.physics.intensity import Window


def check_others(checked: Checked, root: Path, png: Sequence[str], volumes: Sequence[str], window: Window) -> None:
    """Add what is found in volumes and PNG slices to a check."""
    findings, sizes = Findings(), set()
    for name in png:
        try:
            sizes.add("×".join(map(str, read_png(root / name).unit.shape[::-1])))
        except Unusable as bad:
            findings.add(name, *bad.problem)
    if png:
        checked.heading += f"\n{len(png)} PNG slices of {', '.join(sorted(sizes)) or 'no size'}, for denoise alone"
    rows = []
    for name in volumes:
        try:
            volume = read_volume(root / name)
        except Unusable as bad:
            findings.add(name, *bad.problem)
            continue
        n, height, width = volume.hu.shape
        low, high = np.percentile(volume.hu[:: max(1, n // 16)], (1, 99))
        noise = noise_alone([volume.hu[i] for i in spread(n, 8)], window)
        side = "–" if volume.pixel_mm is None else f"{volume.pixel_mm:.4g}"
        rows.append(
            f"| {shown(name)} | {n} | {width}×{height} | {side} | {low:.0f} to {high:.0f} | "
            + " | ".join(middle(noise[r]) for r in ("background", "lung", "tissue"))
            + " |"
        )
    if volumes:
        checked.heading += f"\n{len(volumes)} volumes, for denoise alone"
        heads = "| volume | slices | size | pixel mm | HU 1 % to 99 % | noise HU: air | lung | tissue |"
        checked.tables.append("\n".join([heads, "|---|---|---|---|---|---|---|---|", *rows, ""]))
    checked.findings += findings.list()
