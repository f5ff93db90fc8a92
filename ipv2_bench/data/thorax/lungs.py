"""Random content of the lungs: trees of vessels and airways, and nodules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.body import Body
from ipv2_bench.data.thorax.canvas import Canvas
from ipv2_bench.data.thorax.mediastinum import mediastinum
from ipv2_bench.data.thorax.segments import Segments
from ipv2_bench.data.thorax.shapes import smooth_max


@dataclass(frozen=True, eq=False)
class LungContent:
    """Vessels, airways and nodules inside the lungs; see :class:`ipv2_bench.data.thorax.patient.Patient`."""

    vessels: Segments
    bronchi: Segments
    nodules: NDArray[np.float64]


def draw_lung_content(body: Body, rng: np.random.Generator) -> LungContent:
    """Random vessels, airways and nodules in the lungs of a body; all random numbers are taken from ``rng``."""
    inside = _lung_points(body, 7.0, rng)
    vessels, bronchi = [], []
    for side, name in ((-1, "right"), (1, "left")):
        lung = inside[inside[:, 0] * side > 0]
        deep = lung[lung[:, 3] < -3.5, :3]
        for tube, share, leaf in ((f"{name}_pulmonary", 1.0, 0.6), (f"{name}_veins", 0.8, 0.6)):
            count = int(len(deep) * 0.2 * share)
            targets = deep[rng.choice(len(deep), count, replace=False)]
            vessels.append(_tree(body.tubes[tube].end[-1], targets, leaf, rng))
        core = lung[lung[:, 3] < -14, :3]
        targets = core[rng.choice(len(core), min(len(core), 26), replace=False)]
        bronchi.append(_tree(body.airways[f"{name}_bronchus"].end[-1], targets, 1.0, rng))
    nodules = []
    # As many and as large as to show one in about every third cut at the sizes of the presets.
    for _ in range(int(rng.integers(8, 15))):
        radius = float(rng.uniform(2.0, 8.0))
        centres = inside[inside[:, 3] < -radius - 5, :3]
        solid = rng.random() < 0.6
        density = rng.uniform(10, 50) if solid else rng.uniform(-660, -540)
        nodules.append([*centres[rng.integers(len(centres))], radius, density])
    return LungContent(Segments.join(vessels), Segments.join(bronchi), np.array(nodules))


def _lung_points(body: Body, step: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points all over the lungs about ``step`` mm apart, float64 [n, 4]: x, y, z and signed distance to the border."""
    size = int(300 / step)
    upright = replace(body, roll=0.0, shift=(0.0, 0.0))
    layers = []
    for z in np.arange(0.03, 0.99, step / body.height) * body.height:
        canvas = Canvas(upright, float(z), size, step)
        x, y = (axis + step * rng.uniform(-0.4, 0.4, axis.shape) for axis in (canvas.x, canvas.y))
        not_lung = mediastinum(body, canvas.x, canvas.y, float(z), canvas.cage).all
        border = smooth_max(canvas.cage, -not_lung, 9.0)
        keep = border < -3
        layers.append(np.stack([x[keep], y[keep], np.full(keep.sum(), z), border[keep]], axis=1))
    return np.concatenate(layers)


def _tree(root: NDArray[np.float64], targets: NDArray[np.float64], leaf: float, rng: np.random.Generator) -> Segments:
    """A branching tree from ``root`` [3] to all ``targets`` [n, 3]; each fork divides its targets along their longest extent.

    ``leaf`` is the radius of the last branches in mm.
    """
    rows: list[NDArray[np.float64]] = []
    open_ends = [(root, targets)]
    while open_ends:
        start, points = open_ends.pop()
        count = len(points)
        centre = points.mean(axis=0)
        reach = 1.0 if count == 1 else 0.28 if count > len(targets) / 10 else 0.5
        end = start + reach * (centre - start)
        if count > 1:
            end = end + rng.normal(0, 0.07 * float(np.linalg.norm(end - start)), 3)
        # Murray's law with the exponent measured in lungs.
        thick = leaf * count ** (1 / 2.7)
        rows.append(np.concatenate([start, end, [thick, thick * (0.45 if count == 1 else 0.88)]]))
        if count > 1:
            # No principal axis here: the sign of an eigenvector differs between linear algebra libraries.
            axis = np.eye(3)[np.argmax(np.ptp(points, axis=0))] + rng.normal(0, 0.3, 3)
            order = np.argsort(points @ axis)
            cut = int(np.clip(round(count * rng.uniform(0.35, 0.65)), 1, count - 1))
            open_ends += [(end, points[order[:cut]]), (end, points[order[cut:]])]
    table = np.array(rows)
    return Segments(table[:, :3], table[:, 3:6], table[:, 6], table[:, 7])
