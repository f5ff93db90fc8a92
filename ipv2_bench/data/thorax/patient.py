"""A random patient of the chest phantom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.body import Body, draw_body
from ipv2_bench.data.thorax.lungs import draw_lung_content
from ipv2_bench.data.thorax.segments import Segments


@dataclass(frozen=True, eq=False)
class Patient(Body):
    """All random properties of one patient, drawn once by :meth:`draw`.

    Lengths in mm, densities in HU, angles in radians.
    """

    vessels: Segments
    """Arteries and veins inside the lungs."""
    bronchi: Segments
    """Airways inside the lungs."""
    nodules: NDArray[np.float64]
    """``x, y, z``, radius (2..8 mm) and HU (solid 10..50, ground glass -660..-540) in a row, [n, 5]."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Patient:
        """A random patient; takes all its random numbers from ``rng`` and about 0.3 s. Raises nothing."""
        body = draw_body(rng)
        content = draw_lung_content(body, rng)
        return cls(**vars(body), vessels=content.vessels, bronchi=content.bronchi, nodules=content.nodules)
