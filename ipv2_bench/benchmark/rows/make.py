"""From complete cells to rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import shared_versions
from ipv2_bench.benchmark.provenance import commit, packages, processor
from ipv2_bench.benchmark.rows.files import read_row, row_text, write_row
from ipv2_bench.benchmark.rows.row import SCHEMA, Extractor, Provenance, Row, RowDenoiser, SplitRule, storable
from ipv2_bench.benchmark.tables import Table, TableLine
from ipv2_bench.data.split import rule_of
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_text
from ipv2_bench.fingerprint import digest, version_of
from ipv2_bench.metrics import base
from ipv2_bench.metrics.image_set import Measurements, distance_replicates, distances
from ipv2_bench.metrics.uncertainty import Draws, draw_slices, interval
from ipv2_bench.stored import discard

REPLICATES = 200
VERSION = 2
"""Version of rows and intervals: raise when the same measurements give other rows."""

TableRows = dict[str, list[list[Row]]]
"""By a table's key: for each of its lines the rows that exist, one for each seed."""


@dataclass(frozen=True)
class Measured:
    """All numbers of a row that follow from its images; the attributes are those of :class:`Row`."""

    measures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    n_units: dict[str, int]
    replicates: dict[str, np.ndarray]


class Rows:
    """The rows of a benchmark whose cells are complete, or some of them."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self._read: dict[Path, Row] = {}

    @cached_property
    def draws(self) -> Draws:
        """Bootstrap draws of the test slices, the same for all rows, so that differences are paired."""
        return draw_slices(self.benchmark.prepared.test_patients, REPLICATES)

    def of_tables(self) -> TableRows:
        """The rows of every table, as far as their cells are complete."""
        return {table.key: self.of_table(table) for table in self.benchmark.tables}

    def of_table(self, table: Table) -> list[list[Row]]:
        """The rows of a table: for each of its lines those of the seeds whose cells are complete."""
        return [[self.row(line, seed) for seed in self._seeds(line)] for line in table.lines]

    def _seeds(self, line: TableLine) -> list[int]:
        """The seeds for which everything that a line needs is complete."""
        return [seed for seed in self.benchmark.config.seeds if self.benchmark.has(line, seed)]

    def row(self, line: TableLine, seed: int) -> Row:
        """The row of a table's line and seed, computed once and kept in the benchmark's folder."""
        path = self.path(line, seed)
        if path not in self._read:  # tables share rows
            self._read[path] = _kept(path) or self._made(path, line, seed)
        return self._read[path]

    def _made(self, path: Path, line: TableLine, seed: int) -> Row:
        write_text(path, row_text(self.measure(line, seed)))
        return read_row(path)

    def write(self, out: Path) -> dict[Path, Row]:
        """Write the rows that were asked for as files of the leaderboard; file → row."""
        return {write_row(out, row, path): row for path, row in self._read.items()}

    def path(self, line: TableLine, seed: int) -> Path:
        """The file in which a row is kept, named by everything that determines it."""
        images, reference = self.benchmark.images(line, seed), self.benchmark.reference(line, seed)
        # Labels may be the same for all seeds and budgets, and variants the same as what they vary: their rows are not.
        shaping = [SCHEMA, VERSION, self.benchmark.config.metrics.structure, self._lasting]
        identity = [images.set_id, reference.set_id, line.denoiser, line.strategy.name, seed, *shaping]
        return self.benchmark.config.work / "rows" / f"{digest(identity)}.json"

    @cached_property
    def _lasting(self) -> dict[str, Any]:
        """What rows came from, without what may differ between two runs that give the same."""
        return self.provenance.model_dump(mode="json", exclude={"commit", "packages", "processor"})

    def measure(self, line: TableLine, seed: int) -> Row:
        """The row of a table's line and seed, computed anew from the measurements of its images."""
        images, reference = self.benchmark.images(line, seed), self.benchmark.reference(line, seed)
        cell = self.benchmark.cell(line, seed)
        structure = self.benchmark.config.metrics.structure
        pair = (np.array(images.images), np.array(reference.images)) if structure else None
        measured = measure_row(images.measurements, reference.measurements, self.draws, pair)
        return Row(
            images=images.set_id,
            reference=reference.set_id,
            label=line.label,  # type: ignore[arg-type]  # checked where tables are read
            denoiser=None if cell is None else _denoiser(cell),
            strategy=line.strategy.name,
            modules=line.strategy.label_modules if cell is None else line.strategy.modules,
            seed=seed,
            n_images=len(self.benchmark.prepared.split.test),
            n_test_patients=self.draws.patients or None,
            measures=measured.measures,
            intervals=measured.intervals,
            intervals_over="patients" if self.draws.patients > 1 else "slices",
            n_units=measured.n_units,
            cost=None if cell is None else cell.cost,
            provenance=self.provenance,
            replicates=storable(measured.replicates),
        )

    def cell_values(self, spec: CellSpec) -> dict[str, float]:
        """Distances of a complete cell's images to the NDCT, and their fidelity to the truth."""
        images = self.benchmark.denoised(spec).measurements
        return {**distances(images, self.benchmark.label(None, spec.seed).measurements), **images.fidelity()}

    @cached_property
    def provenance(self) -> Provenance:
        """What all rows of this run came from."""
        prepared, config = self.benchmark.prepared, self.benchmark.config
        return Provenance(
            benchmark=config.name,
            meaningful=config.meaningful,
            source=config.data.source,
            data_manifest=prepared.slices.manifest,
            size=config.data.size,
            window_hu=config.data.window,
            split=split_rule(config),
            n_train=len(prepared.split.train),
            module_2=prepared.module_2,
            budget=config.train,
            denoisers=config.denoisers,
            extractors={
                key: Extractor(version=str(version_of(type(prepared.catalogue.measures[key]))), sha256=e.sha256)
                for key, e in prepared.measuring.extractors.items()
            },
            measuring=prepared.measuring_version,
            versions=shared_versions(),
            commit=commit(),
            packages=packages(),
            processor=processor(),
        )


def _kept(path: Path) -> Row | None:
    """The row of a file; ``None`` where it is not there, or spoiled, which is said."""
    if not path.exists():
        return None
    path.open("rb").close()  # what may not be read may be whole
    try:
        return read_row(path)
    except InputError:
        discard(path)
        return None


def split_rule(config: Config) -> SplitRule:
    """How a configuration's slices are split, as rows state it."""
    data = config.data
    return SplitRule(rule=rule_of(data.split), fractions=data.fractions, seed=data.split_seed, folds=data.folds)


def _denoiser(cell: CellSpec) -> RowDenoiser:
    return RowDenoiser(key=cell.denoiser.key, title=cell.denoiser.title, variant_of=cell.denoiser.variant_of)


def measure_row(
    images: Measurements, reference: Measurements, draws: Draws, pair: tuple[np.ndarray, np.ndarray] | None = None
) -> Measured:
    """All numbers of a row.

    Parameters
    ----------
    images, reference
        Measurements of the images, and of the label that distances are taken to.
    draws
        Of the bootstrap.
    pair
        Images and label themselves, [n, N, N] each, where measures against the label are wanted too.
    """
    counts = draws.counts
    values = {**distances(images, reference), **images.fidelity()}
    replicates = {**distance_replicates(images, reference, counts), **images.fidelity_replicates(counts)}
    if pair is not None:
        for measure in images.catalogue.measures.values():
            if isinstance(measure, base.LabelMeasure):
                each = measure.of_images(*pair)
                values |= {k: float(v.mean()) for k, v in each.items()}
                replicates |= {k: counts @ v / counts.sum(1) for k, v in each.items()}
    units = {k: draws.units_with(has) for k, has in images.slices_with().items()}
    ends = {}
    for k in sorted(values.keys() & replicates.keys()):
        own = interval([values[k]], replicates[k][None], draws.sample, units.get(k), images.catalogue.columns[k].scale)
        if np.isfinite(own.low) and np.isfinite(own.high):
            ends[k] = (float(f"{own.low:.6g}"), float(f"{own.high:.6g}"))
    return Measured(values, ends, units, replicates)
