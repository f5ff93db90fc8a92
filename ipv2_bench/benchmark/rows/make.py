"""From complete cells to rows: one JSON file for each image set that stands in a table."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cell import CellSpec
from ipv2_bench.benchmark.labels import ImageSet, label_images
from ipv2_bench.benchmark.measuring import feature_extractor
from ipv2_bench.benchmark.plan import SIMULATED, CellKey, Prepared, cell_key, denoiser_title
from ipv2_bench.benchmark.provenance import commit, measuring_code, processor, versions
from ipv2_bench.benchmark.row_files import SCHEMA, Row, row_text, storable
from ipv2_bench.benchmark.tables import Table, TableRow
from ipv2_bench.data.slices import write_whole
from ipv2_bench.data.split import rule_of
from ipv2_bench.fingerprint import code, digest
from ipv2_bench.metrics.extractors import pretrained
from ipv2_bench.metrics.measure import Measures, distance_replicates, distances
from ipv2_bench.metrics.structure import structure
from ipv2_bench.metrics.uncertainty import Draws, draw_slices, interval
from ipv2_bench.purification import Strategy

REPLICATES = 200


class Results:
    """Image sets and rows of a benchmark whose cells are complete."""

    def __init__(self, ready: Prepared, cells: dict[CellKey, CellSpec]) -> None:
        self.ready, self.cells = ready, cells

    def has(self, row: TableRow, seed: int) -> bool:
        """Whether everything that a table's row needs is complete."""
        needed = [cell_key(row.denoiser, row.strategy, seed)] if row.denoiser else []
        if row.label != "NDCT" or (not row.denoiser and row.strategy.remove_noise):
            needed.append(self._weak_key(seed))
        return all(self.cells[key].done for key in needed)

    def _weak_key(self, seed: int) -> CellKey:
        return cell_key(self.ready.config.weak_denoiser, SIMULATED, seed)

    def denoised(self, denoiser: str, strategy: Strategy, seed: int) -> ImageSet:
        """Output of a cell."""
        spec = self.cells[cell_key(denoiser, strategy, seed)]
        return ImageSet(spec.cell_id, spec.folder / "denoised.npy", spec.measures_path)

    def label(self, strategy: Strategy | None, seed: int) -> ImageSet:
        """Label images of the test slices: the NDCT for ``None``, else the strategy's purified NDCT."""
        weak = self.cells[self._weak_key(seed)] if strategy is not None and strategy.remove_noise else None
        return label_images(self.ready, strategy, weak)

    @cached_property
    def draws(self) -> Draws:
        """Bootstrap draws of the test slices, the same for all rows, so that differences are paired."""
        return draw_slices([self.ready.slices.patient[i] for i in self.ready.split.test], REPLICATES)

    def row(self, row: TableRow, seed: int) -> Row:
        """The row of one table line and seed, computed once."""
        images, reference = self._sets(row, seed)
        # Labels may be the same for all seeds and budgets, and variants the same as what they vary: their rows are not.
        came = {k: v for k, v in self.provenance.items() if k not in ("commit", "versions", "processor")}
        shaping = [SCHEMA, code("benchmark/results.py"), self.ready.config.metrics.structure, came]
        identity = [images.set_id, reference.set_id, row.denoiser, row.strategy.name, seed, *shaping]
        path = self.ready.work / "rows" / f"{digest(identity)}.json"
        if not path.exists():
            text = row_text(self.make_row(row, seed).data)
            write_whole(path, lambda file: file.write(text.encode()))
        return Row(json.loads(path.read_text(encoding="utf-8")))

    def _sets(self, row: TableRow, seed: int) -> tuple[ImageSet, ImageSet]:
        """The images of a row, and the label that distances are taken to."""
        reference = self.label(None if row.label == "NDCT" else Strategy.from_name("IPv2"), seed)
        images = self.denoised(row.denoiser, row.strategy, seed) if row.denoiser else self.label(row.strategy, seed)
        return images, reference

    def make_row(self, row: TableRow, seed: int) -> Row:
        """The row of one table line and seed, computed anew from the measures of its images."""
        images, reference = self._sets(row, seed)
        both = (np.array(images.images), np.array(reference.images)) if self.ready.config.metrics.structure else None
        found, replicates = measured(images.measures, reference.measures, self.draws, both)
        cost: dict[str, Any] = {}
        if row.denoiser:
            spec = self.cells[cell_key(row.denoiser, row.strategy, seed)]
            cost = json.loads((spec.folder / "result.json").read_text())
            cost.pop("cell_id")
        data = {
            "schema": SCHEMA,
            "images": images.set_id,
            "label": row.label,
            "reference": reference.set_id,
            "denoiser": denoiser_title(self.ready.config, row.denoiser) if row.denoiser else "",
            "denoiser_key": row.denoiser,
            "variant_of": self.ready.config.denoisers.get(row.denoiser, {}).get("variant_of", ""),
            "strategy": row.strategy.name,
            "modules": row.strategy.modules if row.denoiser else row.strategy.label_modules,
            "seed": seed,
            "n_images": len(self.ready.split.test),
            "n_test_patients": self.draws.patients,
            **found,
            "cost": cost,
            "provenance": self.provenance,
            "replicates": storable(replicates),
        }
        return Row(data)

    def rows(self, table: Table) -> list[list[Row]]:
        """The rows of a table that are complete: for each of its lines one for each seed."""
        return [[self.row(row, s) for s in self.ready.config.seeds if self.has(row, s)] for row in table.rows]

    def cell_metrics(self, key: CellKey) -> dict[str, float]:
        """Distances to the NDCT and fidelity to the truth of one complete cell."""
        spec = self.cells[key]
        measures = Measures.load(spec.measures_path)
        return {**distances(measures, self.label(None, key.seed).measures), **measures.means()}

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What all rows of this run came from."""
        config = self.ready.config
        return {
            "benchmark": config.name,
            "meaningful": config.meaningful,
            "source": config.data.source,
            "data_manifest": self.ready.slices.manifest,
            "size": config.data.size,
            "window_hu": list(config.data.window),
            "split": [rule_of(config.data.split), list(config.data.fractions), config.data.split_seed],
            "n_train": len(self.ready.split.train),
            "module_2": self.ready.add_noise.identity(),
            "budget": config.train.budget,
            "denoisers": config.denoisers,
            "extractors": {
                e.name: {"version": e.version, "sha256": e.sha256}
                for e in (feature_extractor(self.ready.slices, self.ready.split), *pretrained())
            },
            "measuring_code": measuring_code(),
            "commit": commit(),
            "versions": versions(),
            "processor": processor(),
        }


def measured(
    measures: Measures, to: Measures, draws: Draws, both: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """All numbers of a row that follow from its images.

    Parameters
    ----------
    measures, to
        Of the images, and of the label that distances are taken to.
    draws
        The bootstrap's.
    both
        Images and label themselves, [n, N, N] each, where structure is measured too.

    Returns
    -------
    tuple
        The row's parts by name, and each measure on the bootstrap's draws, [B].
    """
    found: dict[str, dict[str, Any]] = {"distances": distances(measures, to), "fidelity": measures.means()}
    counts = draws.counts
    replicates = {**distance_replicates(measures, to, counts), **measures.replicates(counts)}
    if both is not None:
        each = structure(*both)
        found["structure"] = {k: float(v.mean()) for k, v in each.items()}
        replicates |= {k: counts @ v / counts.sum(1) for k, v in each.items()}
    flat = {k: v for part in found.values() for k, v in part.items()}
    units = {k: draws.units_with(has) for k, has in measures.shown().items()}
    intervals = {
        k: interval([flat[k]], replicates[k][None], draws.sample, units.get(k)) for k in sorted(flat) if k in replicates
    }
    found["n_units"] = units
    found["intervals_over_patients" if draws.patients > 1 else "intervals_over_slices"] = {
        k: [float(f"{i.low:.6g}"), float(f"{i.high:.6g}")] for k, i in intervals.items() if np.isfinite(i.low)
    }
    return found, replicates
