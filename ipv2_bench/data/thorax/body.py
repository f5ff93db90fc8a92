"""The random body of a patient: everything but the vessels, airways and nodules inside the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.segments import Knots, Segments, tube
from ipv2_bench.data.thorax.shapes import Array

LATTICE = 32
"""Points along a side of the lattice of the texture."""

# Great vessels and airways of an average adult.
_TUBES: dict[str, Knots] = {
    "aorta": ((4, -22, 0.56, 15), (-14, -30, 0.46, 16), (-15, -29, 0.36, 15), (-7, -18, 0.285, 14),
              (9, 2, 0.265, 13), (21, 24, 0.30, 12.5), (25, 36, 0.40, 12), (22, 38, 0.70, 11),
              (12, 36, 1.1, 10)),
    "brachiocephalic": ((-6, -20, 0.28, 7), (-15, -18, 0.15, 6), (-26, -12, -0.05, 5)),
    "carotid": ((3, -10, 0.28, 5), (13, -14, 0.15, 4), (18, -12, -0.05, 4)),
    "subclavian": ((13, 6, 0.28, 6), (24, 0, 0.15, 5), (32, -8, -0.05, 5)),
    "cava": ((-27, -24, 0.08, 8), (-28, -26, 0.22, 9), (-27, -22, 0.40, 10), (-28, -10, 0.56, 12)),
    "innominate": ((22, -24, 0.04, 7), (12, -36, 0.17, 6), (-24, -29, 0.225, 7)),
    "left_pulmonary": ((10, -42, 0.53, 14), (18, -32, 0.45, 14), (30, -8, 0.405, 12), (46, 6, 0.43, 9)),
    "right_pulmonary": ((18, -26, 0.44, 12), (2, -12, 0.435, 11), (-24, -6, 0.445, 10), (-46, 0, 0.47, 8)),
    "left_veins": ((6, 8, 0.53, 10), (46, 6, 0.52, 6)),
    "right_veins": ((-2, 8, 0.54, 10), (-42, -2, 0.53, 6)),
    "azygos": ((-4, 36, 1.1, 3.5), (-6, 33, 0.40, 4), (-20, 18, 0.335, 4), (-27, -16, 0.33, 4)),
    "inferior_cava": ((-24, -2, 0.75, 12), (-24, 4, 1.1, 12)),
}  # fmt: skip
_AIRWAYS: dict[str, Knots] = {
    "trachea": ((0, -4, -0.1, 8.5), (1, 2, 0.15, 8.5), (-1, 8, 0.355, 8.5)),
    "right_bronchus": ((-2, 8, 0.355, 7), (-18, 10, 0.40, 7), (-40, 8, 0.46, 6)),
    "left_bronchus": ((0, 8, 0.355, 6.5), (18, 11, 0.41, 6.5), (42, 13, 0.475, 5.5)),
}
_OESOPHAGUS: Knots = ((5, 17, -0.1, 6.5), (6, 23, 0.35, 6.5), (7, 25, 0.70, 7.5), (16, 14, 1.1, 8))


@dataclass(frozen=True, eq=False)
class Body:
    """The random properties of a patient without the content of the lungs, drawn once by :func:`draw_body`.

    Lengths in mm, densities in HU, angles in radians.
    """

    height: float
    """Lung apex to base, 205..255."""
    half_width: float
    """Inner half width of the rib cage, 112..138."""
    front: float
    """Inner depth of the rib cage before the origin, 68..86."""
    back: float
    """Inner depth of the rib cage behind the origin, 75..88."""
    fat: float
    """Typical thickness of the subcutaneous fat, 4..30."""
    muscle: float
    """Size of the muscles, as a multiple of the average, 0.75..1.3."""
    breast: float
    """Height of the breasts over the chest wall, 0..26."""
    heart: float
    """Size of the heart, as a multiple of the average, 0.9..1.12."""
    shift: tuple[float, float]
    """Position of the patient's origin in the picture, x and y."""
    roll: float
    """Rotation about the long axis, -0.09..0.09."""
    lung_hu: float
    """Mean of the parenchyma, -860..-825."""
    bone: float
    """Bone density, as a multiple of the average, 0.8..1.15."""
    domes: tuple[float, float]
    """``t`` of the top of the right and of the left diaphragm."""
    rib_phase: tuple[float, float]
    """Height of a right and of a left rib at the spine."""
    rib_drop: float
    """Descent of a rib from the spine to the sternum, 115..140."""
    rib_gap: float
    """Height from one rib to the next, 21..25; also that of the vertebrae."""
    wobble: NDArray[np.float64]
    """Relative deviation of the outlines from symmetry, cosine and sine parts, [2, 5]."""
    table: tuple[float, float, float, float]
    """Gap below the patient, curvature in 1/mm, depth, HU of the shell."""
    texture: Array
    """White noise on a periodic lattice, float64 [32, 32, 32], mean 0 and variance 1."""
    tubes: dict[str, Segments]
    """Great vessels by name."""
    airways: dict[str, Segments]
    """Trachea and main bronchi by name."""
    oesophagus: Segments
    """Oesophagus."""


def draw_body(rng: np.random.Generator) -> Body:
    """A random body; all random numbers are taken from ``rng``, in an order that is part of the phantom."""
    build = rng.normal()
    half_width = float(np.clip(126 + 5 * build + rng.normal(0, 4), 112, 138))
    back = float(np.clip(81 + 2 * build + rng.normal(0, 2), 75, 88))
    fat = float(np.clip(13 + 5 * build + rng.normal(0, 4), 4, 30))
    height = float(rng.uniform(205, 255))
    gap = float(rng.uniform(21, 25))
    phase = float(rng.uniform(0, gap))
    scale = np.array([half_width / 125, back / 82, height, 1.0])
    tubes = {name: tube(knots, scale, 2.0, rng) for name, knots in _TUBES.items()}
    airways = {name: tube(knots, scale, 0.7, rng) for name, knots in _AIRWAYS.items()}
    return Body(
        height=height,
        half_width=half_width,
        front=float(np.clip(77 + 2 * build + rng.normal(0, 3), 68, 86)),
        back=back,
        fat=fat,
        muscle=float(rng.uniform(0.75, 1.3)),
        breast=float(max(0.0, rng.uniform(-22, 26))),
        heart=float(rng.uniform(0.9, 1.12)),
        shift=(float(rng.uniform(-9, 9)), float(rng.uniform(-14, 4))),
        roll=float(rng.uniform(-0.09, 0.09)),
        lung_hu=float(rng.uniform(-860, -825)),
        bone=float(rng.uniform(0.8, 1.15)),
        domes=(float(rng.uniform(0.76, 0.84)), float(rng.uniform(0.82, 0.9))),
        rib_phase=(phase, phase + float(rng.uniform(-4, 4))),
        rib_drop=float(rng.uniform(115, 140)),
        rib_gap=gap,
        wobble=rng.normal(0, 0.012, (2, 5)) / np.arange(1, 6),
        table=(
            float(rng.uniform(0, 5)),
            float(rng.uniform(5e-4, 9e-4)),
            float(rng.uniform(24, 34)),
            float(rng.uniform(-80, 80)),
        ),
        texture=rng.standard_normal((LATTICE,) * 3),
        tubes=tubes,
        airways=airways,
        oesophagus=tube(_OESOPHAGUS, scale, 2.0, rng),
    )
