"""What a measure is: the columns that it fills, and how it is computed from images.

A measure is one file under ``metrics/measures/`` (or one of your own, named in ``metrics.extra``). It derives from
:class:`TruthMeasure`, :class:`LabelMeasure`, :class:`FeatureSpace` or :class:`CostMeasure` and lists its columns; tables,
ranking, page, W&B, study and documentation read the columns and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeVar

import numpy as np

from ipv2_bench.weights import Weights

if TYPE_CHECKING:
    from ipv2_bench.metrics.anatomy import Anatomy
    from ipv2_bench.physics.intensity import Window

GROUPS = {
    "distance": "Distances to the label",
    "fidelity": "Against the aligned truth",
    "detail": "In detail",
    "structure": "Against the label, slice by slice",
    "cost": "Cost",
}
"""Groups of columns in the order of the tables, with their titles."""

REGIONS = ("background", "lung", "tissue", "bone")
"""Regions of a slice in which noise and bias are measured, see :func:`ipv2_bench.metrics.anatomy.regions`."""

TISSUES = ("fat", "muscle", "airway")
"""Tissues whose HU are held to the truth's, see :func:`ipv2_bench.metrics.anatomy.tissues`."""

EDGE_CONTRASTS = (100, 300, 900)
"""Steps in HU of edges whose sharpness is measured: between fat and muscle, within the mediastinum and at bone, at the lung."""

Group = Literal["distance", "fidelity", "detail", "structure", "cost"]
Ideal = Literal["higher", "lower"] | float
Need = Literal["truth", "nodules", "label", "weights"]
Scale = Literal["log", "fisher", "identity"]
"""Scale on which the interval of a column is computed, see :func:`ipv2_bench.metrics.uncertainty.interval`."""


Number = TypeVar("Number", float, np.ndarray)


@dataclass(frozen=True)
class Column:
    """One number that is measured of an image set.

    Attributes
    ----------
    name
        Its key in rows and CSV files.
    heading
        Its name in tables.
    unit
        ``HU``, ``dB``, …; ``None`` for a pure number.
    group
        A key of :data:`GROUPS`.
    ideal
        ``higher`` or ``lower`` is better, or the number that is best.
    needs
        What must be known for it.
    decimals
        Decimals in tables; three significant digits when ``None``.
    published
        Whether the paper publishes it.
    scale
        Scale on which its interval is computed: ``log`` for what is positive, such as noise, ``fisher`` for what is between
        −1 and 1, such as SSIM, ``identity`` for what may be any number.
    explanation
        What the number means, in one sentence.
    """

    name: str
    heading: str
    unit: str | None
    group: Group
    ideal: Ideal
    needs: tuple[Need, ...] = ()
    decimals: int | None = None
    published: bool = False
    scale: Scale = "identity"
    explanation: str = ""

    def cost_of(self, value: Number) -> Number:
        """A number, or an array of numbers, that is smaller for a better value; rows are ranked by it."""
        if self.ideal == "higher":
            return -value
        return value if self.ideal == "lower" else abs(value - float(self.ideal))

    def better(self, value: float, than: float) -> bool:
        """Whether a value is better than another."""
        return self.cost_of(value) < self.cost_of(than)

    @property
    def ideal_text(self) -> str:
        """``higher is better``, ``lower is better`` or ``1 is best``."""
        return f"{self.ideal} is better" if isinstance(self.ideal, str) else f"{self.ideal:g} is best"

    def text(self, value: float) -> str:
        """A value as tables show it."""
        return f"{value:.3g}" if self.decimals is None else f"{value:.{self.decimals}f}"


class Measure(ABC):
    """Base of all measures: what fills columns of the tables. Code that shapes its numbers is named by its ``version``."""

    version: ClassVar[int] = 1
    """Raise when the same images give other numbers."""

    order: ClassVar[int] = 100
    """Columns of a group are sorted by it, ascending."""

    columns: tuple[Column, ...]


@dataclass(frozen=True)
class SliceTruth:
    """The aligned truth of a slice, and what is needed to measure against it.

    Attributes
    ----------
    hu
        Truth in HU, [N, N], not clipped to the window.
    low_hu
        uLDCT in HU, [N, N], not clipped to the window.
    anatomy
        Regions, rim, border of the lung and nodules.
    window
        HU that map to 0 and 1. A denoiser's output cannot leave them; measures of images in [0, 1], such as PSNR, convert by
        its ``unit``.
    pixel_mm
        Side of a pixel in mm.
    """

    hu: np.ndarray
    low_hu: np.ndarray
    anatomy: Anatomy
    window: Window
    pixel_mm: float


Statistics = dict[str, "float | np.ndarray"]
"""Statistics of one slice by name: numbers, or arrays [k]."""


class TruthMeasure(Measure):
    """A measure against the aligned truth: statistics of every slice, averaged over slices, then combined."""

    summed: ClassVar[tuple[str, ...]] = ()
    """Statistics that are summed over the slices that have them (no NaN); all others are averaged over those."""

    @abstractmethod
    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Statistics of one slice.

        Parameters
        ----------
        hu
            Image in HU, [N, N]: not clipped where that is known (uLDCT, NDCT and truth); a denoiser's output is inside of the
            window.
        truth
            What it is measured against.

        Returns
        -------
        dict
            The same names and shapes for every slice; NaN for what a slice lacks.
        """

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """Values of the columns from statistics over all slices; by default they are the columns."""
        return {name: float(value) for name, value in statistics.items()}


class LabelMeasure(Measure):
    """A measure of every image against its label, averaged over slices."""

    @abstractmethod
    def of_images(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Values [n] by column for images and labels, both [n, N, N] in [0, 1]; columns that do not apply are left out."""


class FeatureExtractor(Protocol):
    """From images to features."""

    sha256: str
    """Of the weights, 64 hex digits."""

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images [n, N, N] in [0, 1] → features [n, d] float64 of each member network; most have one."""
        ...


class FeatureSpace(Measure):
    """Distances between image sets in the feature space of an extractor."""

    frechet: ClassVar[str]
    """Column of the Fréchet distance."""

    at_infinity: ClassVar[str]
    """Column of the Fréchet distance extrapolated to infinitely many images."""

    kernel: ClassVar[str | None] = None
    """Column of the kernel distance × 100, and with ``_se`` that of its standard error."""

    further: ClassVar[Mapping[str, str]] = {}
    """Names of :data:`ipv2_bench.metrics.distances.further.FURTHER` → columns of those distances."""

    scale: ClassVar[float] = 1.0
    """Factor of the Fréchet distances."""

    optional: ClassVar[bool] = False
    """Whether measurements have the same name without it where its weights are not there, as before there was this space."""

    @abstractmethod
    def sha256(self, weights: Path | None) -> str | None:
        """SHA-256 of the weights; ``None`` where they are absent. ``weights`` is the user's folder, which is searched first."""

    @abstractmethod
    def extractor(self, training: np.ndarray, weights: Path | None) -> FeatureExtractor:
        """The extractor; ``training`` holds some NDCT of the training set, [n, N, N] in [0, 1]."""


class PretrainedSpace(FeatureSpace):
    """A feature space of a network whose weights are a file, which may be absent."""

    file: ClassVar[Weights]
    """The file."""

    features: ClassVar[str]
    """Class of the extractor in :mod:`ipv2_bench.metrics.extractors`."""

    def sha256(self, weights: Path | None) -> str | None:
        """See :class:`FeatureSpace`."""
        return self.file.hash_of(weights)

    def extractor(self, training: np.ndarray, weights: Path | None) -> FeatureExtractor:
        """See :class:`FeatureSpace`."""
        from ipv2_bench.metrics import extractors

        made: FeatureExtractor = getattr(extractors, self.features)(self.file, self.file.need(weights))
        return made


class CostMeasure(Measure):
    """Columns that are read from the cost of a cell, by name."""
