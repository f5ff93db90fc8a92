"""A benchmark: its configuration, tables, data and cells."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ipv2_bench.benchmark.cells.denoisers import check_names
from ipv2_bench.benchmark.cells.labels import ImageSet, label_images
from ipv2_bench.benchmark.cells.plan import CellKey, check_denoisers, check_devices, plan_cells, runner_of
from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import Prepared
from ipv2_bench.benchmark.tables import NDCT, Table, TableLine
from ipv2_bench.errors import InputError
from ipv2_bench.purification.strategy import Strategy


@dataclass(frozen=True)
class Benchmark:
    """Everything between a configuration and its rows.

    Attributes
    ----------
    prepared
        Settings and data.
    tables
        What is to be measured.
    cells
        Every cell that the tables need, by key.
    """

    prepared: Prepared
    tables: tuple[Table, ...]
    cells: dict[CellKey, CellSpec]

    @classmethod
    def open(cls, config: Config, tables: Sequence[Table], progress: bool = True) -> Benchmark:
        """Check the names, make or open the data, and plan the cells.

        Raises
        ------
        InputError
            When anything of it is not usable, before any training.
        """
        check_names(config, list(tables))
        check_denoisers(config, list(tables))
        prepared = Prepared.open(config, progress)
        if prepared.slices.truth is None:
            tables = [_without_truth(table, config.data.source) for table in tables]
        return cls(prepared, tuple(tables), plan_cells(prepared, list(tables)))

    @property
    def config(self) -> Config:
        """Its settings."""
        return self.prepared.config

    def incomplete(self) -> list[str]:
        """Names of the cells that are not complete."""
        return [spec.name for spec in self.cells.values() if not spec.complete]

    def require_complete(self, cells: Iterable[CellSpec] | None = None) -> None:
        """Refuse to go on while some cells are missing, or any of them for ``None``.

        Raises
        ------
        InputError
            It names the first.
        """
        missing = [spec.name for spec in (self.cells.values() if cells is None else cells) if not spec.complete]
        if missing:
            more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
            raise InputError(f"{missing[0]}{more} not complete: run ipv2-bench reproduce with the same settings first")

    def compute(self, progress: bool = True) -> list[Failure]:
        """Compute the cells that are not complete; those that failed are returned, the others are complete.

        Raises
        ------
        Submitted
            Where cells were handed over to a queue that nobody waits for.
        """
        check_devices(self.config)
        runner = runner_of(self.config)
        cells = {spec.cell_id: spec for spec in self.cells.values()}  # a variant that changes nothing is the same cell
        return [] if all(spec.complete for spec in cells.values()) else runner.run(list(cells.values()), progress)

    def cell(self, line: TableLine, seed: int) -> CellSpec | None:
        """The cell whose images a table's line measures; ``None`` for a line of labels."""
        return self.cells[CellKey.of(line.denoiser, line.strategy, seed)] if line.denoiser else None

    def has(self, line: TableLine, seed: int) -> bool:
        """Whether everything that a line needs is complete."""
        return all(self.cells[key].complete for key in CellKey.needed(self.config, line, seed))

    def images(self, line: TableLine, seed: int) -> ImageSet:
        """The images that a line measures."""
        spec = self.cell(line, seed)
        return self.label(line.strategy, seed) if spec is None else self.denoised(spec)

    def reference(self, line: TableLine, seed: int) -> ImageSet:
        """The label that a line's distances are taken to."""
        return self.label(None if line.label == NDCT else Strategy.from_name("IPv2"), seed)

    def denoised(self, spec: CellSpec) -> ImageSet:
        """The output of a cell."""
        return ImageSet(spec.cell_id, spec.images_path, spec.measures_path, self.prepared.catalogue)

    def label(self, strategy: Strategy | None, seed: int) -> ImageSet:
        """Label images of the test slices: the NDCT for ``None``, else the strategy's purified NDCT."""
        needs_weak = strategy is not None and strategy.remove_noise
        weak = self.cells[CellKey.of_weak_denoiser(self.config, seed)] if needs_weak else None
        return label_images(self.prepared, strategy, weak)


def _without_truth(table: Table, source: str) -> Table:
    """A table without the lines that train on the aligned truth, where that is not known; they are named on stderr."""
    left_out = [line.name for line in table.lines if line.strategy.needs_truth]
    if left_out:
        print(
            f"ipv2-bench: {table.key}: left out, since {source} knows no aligned truth to train on: {', '.join(left_out)}",
            file=sys.stderr,
        )
    return replace(table, lines=tuple(line for line in table.lines if not line.strategy.needs_truth))
