"""A row of a leaderboard: one image set measured on the test slices of one data set, with what it came from."""

from __future__ import annotations

import math
from array import array
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from ipv2_bench.benchmark.cells.cost import Cost
from ipv2_bench.benchmark.settings import TrainSettings
from ipv2_bench.metrics.uncertainty import Sample

SCHEMA = 5
"""Version of the form of rows."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Interval95 = tuple[float, float]


def _compact(numbers: Any) -> array[float]:
    """Numbers of 8 bytes each, where objects of a list would take 32; NaN for ``None``."""
    if isinstance(numbers, array):
        return numbers
    kinds = set(map(type, numbers)) if isinstance(numbers, list) else {str}
    if not kinds <= {int, float, type(None)}:
        raise ValueError("expected a list of numbers and null")
    known = array("d", numbers if type(None) not in kinds else [x for x in numbers if x is not None])
    if not np.isfinite(np.frombuffer(known)).all():
        raise ValueError("expected finite numbers")
    return known if len(known) == len(numbers) else array("d", [math.nan if x is None else x for x in numbers])


Replicates = Annotated[
    array,
    BeforeValidator(_compact),
    PlainSerializer(lambda numbers: [x if x == x else None for x in numbers]),  # NaN is unlike itself
    WithJsonSchema({"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}),
]
"""One measure on the draws of the bootstrap."""


class Record(BaseModel):
    """Base of everything that a row holds: immutable, closed to unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Extractor(Record):
    """A feature extractor: version of its code, and hash of its weights."""

    version: str
    sha256: Sha256


class SplitRule(Record):
    """How slices were split: rule or hash of a file, fractions of train, validation and test, seed, and folds if any."""

    rule: str
    fractions: tuple[float, float, float]
    seed: int
    folds: int | None = None

    @model_serializer(mode="wrap")
    def _one_split_unsaid(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """One split is written as before there were folds, so that rows keep their names."""
        said = handler(self)
        return said if self.folds is not None else {k: v for k, v in said.items() if k != "folds"}


class Provenance(Record):
    """What a row came from.

    Attributes
    ----------
    benchmark, meaningful
        Name of the configuration, and whether its numbers mean anything.
    source, data_manifest, size, window_hu, split, n_train
        The data: source, hash over every slice, pixels along a side, HU that map to 0 and 1, split, training slices.
    module_2
        Settings of Add Noise, calibrated.
    budget
        Of training.
    denoisers
        Options of every denoiser of the configuration.
    extractors
        Feature spaces that were measured in.
    measuring
        Hash of the versions of everything that measures.
    versions
        Of the code that shapes slices and pairs.
    commit
        Of the program; ``None`` outside of its checkout.
    packages, processor
        What it ran with and on.
    """

    benchmark: str
    meaningful: bool
    source: str
    data_manifest: Sha256
    size: int
    window_hu: tuple[float, float]
    split: SplitRule
    n_train: Annotated[int, Field(ge=1)]
    module_2: dict[str, Any]
    budget: TrainSettings
    denoisers: dict[str, dict[str, Any]]
    extractors: dict[str, Extractor]
    measuring: Hash
    versions: dict[str, int]
    commit: str | None
    packages: dict[str, str]
    processor: str


SHARED = ("data_manifest", "window_hu", "split", "module_2", "budget", "measuring", "meaningful")
"""What of the provenance two rows must share to be compared, besides the label's images and the extractor."""


class RowDenoiser(Record):
    """The denoiser of a row: key, name in the tables, and key of the denoiser that it varies, if any."""

    key: str
    title: str
    variant_of: str | None = None


class Row(Record):
    """One image set (a denoiser under a strategy with one training seed, or a label), measured.

    Attributes
    ----------
    images, reference
        Hashes of what determines the images, and the label's images that distances are taken to.
    label
        That label.
    denoiser
        ``None`` for a row of label images.
    strategy, modules
        Of the training pairs, or of the label; which of the three modules are on, as ``1+2``.
    seed
        Of weights, order, noise and losses.
    n_images, n_test_patients
        Test slices, and their patients; ``None`` where patients are not stated.
    measures
        Columns of the catalogue.
    intervals
        Ends of the 95 % interval of each, over patients where there are several, else over slices.
    intervals_over
        Which of the two.
    n_units
        Patients (or slices) that have a measure which some lack.
    cost
        ``None`` for a row of label images.
    replicates
        Each measure on the draws of the bootstrap, which are the same for all rows of a benchmark, so that differences
        are paired; ``None`` where a draw does not have it.
    """

    row_schema: Annotated[Literal[5], Field(alias="schema")] = 5
    images: Hash
    reference: Hash
    label: Literal["NDCT", "IPv2(NDCT)"]
    denoiser: RowDenoiser | None
    strategy: Annotated[str, Field(min_length=1)]
    modules: str
    seed: Annotated[int, Field(ge=0)]
    n_images: Annotated[int, Field(ge=1)]
    n_test_patients: Annotated[int, Field(ge=1)] | None
    measures: dict[str, float]
    intervals: dict[str, Interval95]
    intervals_over: Literal["patients", "slices"]
    n_units: dict[str, int]
    cost: Cost | None
    provenance: Provenance
    replicates: dict[str, Replicates]

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, arbitrary_types_allowed=True
    )

    @model_validator(mode="after")
    def _draws_of_one_length(self) -> Row:
        lengths = {len(v) for v in self.replicates.values()}
        if len(lengths) > 1:
            raise ValueError(f"replicates are lists of {sorted(lengths)} numbers: expected one length")
        return self

    @cached_property
    def drawn(self) -> dict[str, np.ndarray]:
        """Each measure on the bootstrap's draws, [B]; NaN where a draw does not have it."""
        return {k: np.frombuffer(v, dtype=np.float64) for k, v in self.replicates.items()}

    @property
    def sample(self) -> Sample | None:
        """What the draws were taken of; ``None`` without any."""
        if not self.replicates:
            return None
        patients = self.n_test_patients or 0
        return Sample(patients if patients > 1 else self.n_images, patients, len(next(iter(self.replicates.values()))))

    @property
    def denoiser_key(self) -> str | None:
        """Key of its denoiser; ``None`` for a label."""
        return self.denoiser.key if self.denoiser else None

    @property
    def values(self) -> dict[str, float]:
        """Everything that tables can show: measures and cost."""
        cost = {} if self.cost is None else self.cost.model_dump(exclude={"device"})
        return {**self.measures, **{k: float(v) for k, v in cost.items()}}

    @property
    def name(self) -> str:
        """The row in words."""
        what = f"{self.denoiser.title} + {self.strategy}" if self.denoiser else f"{self.strategy}(NDCT)"
        return f"{what}, seed {self.seed}, against {self.label}"


def storable(replicates: dict[str, np.ndarray]) -> dict[str, Any]:
    """Replicates as a row's file holds them, lists of numbers: six significant digits, ``None`` for NaN."""
    return {k: [float(f"{x:.6g}") if math.isfinite(x) else None for x in v] for k, v in sorted(replicates.items())}


def schema() -> dict[str, Any]:
    """The JSON Schema of rows, generated from the model."""
    generated = Row.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **generated,
        "title": "A row of an IPv2-Bench leaderboard",
    }
