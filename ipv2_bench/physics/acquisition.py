"""Settings of a simulated scan. Needs no torch, so that configurations can be read without it."""

from __future__ import annotations

from dataclasses import dataclass

from ipv2_bench.physics.filters import FILTERS
from ipv2_bench.physics.intensity import MU_WATER_PER_MM


@dataclass(frozen=True)
class Acquisition:
    """How a slice is scanned and reconstructed.

    Attributes
    ----------
    photons
        Photons that fall on a millimetre of the detector in one view with nothing in the beam, at the axis, at full dose. A cell
        is as wide as a pixel, so that I0 of a cell is this times the side of a pixel in mm.
    electronic
        Standard deviation of the electronic noise, in photons; it does not fall with the dose.
    bowtie
        Fall-off of I0 towards the edge of a 400 mm field of view: ``I0(s) = I0·exp(−bowtie·(s/200 mm)²)``.
    views
        Angles over 180°.
    filter_name
        FBP filter, one of :data:`ipv2_bench.physics.filters.FILTERS`.
    kilovolt
        Tube voltage, a key of :data:`ipv2_bench.physics.intensity.MU_WATER_PER_MM`.
    dose
        Fraction d of the full dose, in (0, 1]: I0 becomes d·I0.
    inserted
        The slice is itself a full-dose scan, so only what the dose d adds to its variance is drawn. Scaled to dose d, its
        counts have the variance d²λ + d²σ² and shall have dλ + σ², so the quantum noise is shrunk by √(1−d) and the
        electronic one by √(1−d²) (noise insertion as by Žabić et al., Med. Phys. 40, 2013); at d = 1 nothing is added.
        ``False`` for slices that are free of noise.
    quantum
        ``poisson``, or ``gaussian``, its limit at high counts.
    cutoff
        Frequency in 1/mm at which the filter's window ends; 0 for the detector's own limit, one half per cell. With a cutoff that
        pixels can show, the noise in HU does not depend on their size.

    Raises
    ------
    ValueError
        When a value is outside of its range or a name is unknown; the message says what was expected.
    """

    photons: float
    electronic: float = 0.0
    bowtie: float = 0.0
    views: int = 180
    filter_name: str = "ram-lak"
    kilovolt: int = 120
    dose: float = 1.0
    inserted: bool = False
    quantum: str = "poisson"
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.dose <= 1:
            raise ValueError(f"dose is {self.dose}: expected a fraction of the full dose, above 0 and at most 1")
        if self.quantum not in ("poisson", "gaussian"):
            raise ValueError(f"quantum '{self.quantum}' is unknown: use poisson or gaussian")
        if not self.photons > 0:
            raise ValueError(f"photons is {self.photons}: expected a positive number")
        if self.views < 1:
            raise ValueError(f"views is {self.views}: expected at least 1")
        if min(self.electronic, self.bowtie, self.cutoff) < 0:
            raise ValueError(
                f"electronic={self.electronic}, bowtie={self.bowtie}, cutoff={self.cutoff}: expected numbers ≥ 0"
            )
        if self.filter_name not in FILTERS:
            raise ValueError(f"filter_name '{self.filter_name}' is unknown: use one of {', '.join(FILTERS)}")
        if self.kilovolt not in MU_WATER_PER_MM:
            known = ", ".join(map(str, MU_WATER_PER_MM))
            raise ValueError(f"kilovolt {self.kilovolt} has no water value: use one of {known}")

    @property
    def mu_water(self) -> float:
        """Attenuation of water in 1/mm."""
        return MU_WATER_PER_MM[self.kilovolt]
