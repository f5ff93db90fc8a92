"""Rows, lines and tables with values of one's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cells.cost import Cost
from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.rows.row import Extractor, Provenance, Row, RowDenoiser, SplitRule, storable
from ipv2_bench.benchmark.settings import TrainSettings
from ipv2_bench.benchmark.tables import Table, TableLine
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.uncertainty import Sample, draw_slices
from ipv2_bench.purification import Strategy

PROVENANCE = Provenance(
    benchmark="example",
    meaningful=True,
    source="phantom",
    data_manifest="a" * 64,
    size=64,
    window_hu=(-1000.0, 400.0),
    split=SplitRule(rule="patient", fractions=(0.7, 0.15, 0.15), seed=0),
    n_train=8,
    module_2={},
    budget=TrainSettings(steps=4),
    denoisers={},
    extractors={"randconv": Extractor(version="1", sha256="b" * 64)},
    measuring="c" * 16,
    versions={"data": 1},
    commit=None,
    packages={},
    processor="example",
)
COST = Cost(
    parameters=1000,
    network_calls=2,
    seconds_training=1.0,
    seconds_per_slice=0.5,
    peak_memory_mb=300.0,
    inference_memory_mb=200.0,
    device="example",
    threads=1,
)
SAMPLE = draw_slices([str(p) for p in range(6) for _ in range(2)], replicates=100).sample
"""Draws of twelve slices of six patients."""


def a_row(
    seed: int = 0,
    key: str | None = "fm",
    strategy: str = "IPv2",
    title: str = "FM",
    variant_of: str | None = None,
    replicates: dict[str, np.ndarray] | None = None,
    provenance: dict[str, Any] | None = None,
    **measures: float,
) -> Row:
    """A row with some measures; of a label where ``key`` is ``None``."""
    return Row(
        images="1" * 16,
        reference="2" * 16,
        label="NDCT",
        denoiser=None if key is None else RowDenoiser(key=key, title=title, variant_of=variant_of),
        strategy=strategy,
        modules="1+2+3",
        seed=seed,
        n_images=12,
        n_test_patients=6,
        measures=measures,
        intervals={},
        intervals_over="patients",
        n_units={},
        cost=None if key is None else COST,
        provenance=PROVENANCE.model_copy(update=provenance or {}),
        replicates=storable(replicates or {}),
    )


def a_table(of_labels: bool = False, lines: Sequence[TableLine] = ()) -> Table:
    """A table with one published line."""
    published = {("NDCT", "FM", "IPv2"): {"fid": 39.33, "kid_x100": 1.0, "clip_fid_x100": 2.5}}
    return Table("table1", "an example", of_labels, tuple(lines), published)


def a_line(strategy: str, values: dict[str, list[float]], published: dict | None = None, **changes: Any) -> Line:
    """A line with values by column, seed by seed."""
    seeds = tuple(range(max((len(v) for v in values.values()), default=1)))
    given = {"label": "NDCT", "denoiser": "FM", "modules": "", "key": "fm", "variant_of": None, "n_images": 8}
    given |= {"seeds": seeds, **changes}
    return Line(strategy=strategy, values=values, published=published or {}, **given)


def sure(strategy: str, values: list[float], spread: float = 0.01, sample: Sample = SAMPLE, **changes: Any) -> Line:
    """A line whose distance has these values over seeds, and draws that spread by so much around them."""
    rng = np.random.default_rng(list(strategy.encode()))
    drawn = np.array(values)[:, None] + spread * rng.normal(size=(len(values), 100))
    return a_line(strategy, {"fd_randconv": values}, replicates={"fd_randconv": drawn}, sample=sample, **changes)


def a_view(lines: Sequence[Line], meaningful: bool = True, of_labels: bool = False) -> TableView:
    """The view of a table with some lines."""
    return TableView(a_table(of_labels), catalogue(), list(lines), meaningful)


def table_line(strategy: str, denoiser: str | None = "fm", label: str = "NDCT", **options: str) -> TableLine:
    """A line of a table's specification."""
    return TableLine(label, denoiser, Strategy.from_name(strategy, **options))


def change(path: Path, to: Path | None = None, **changes: object) -> None:
    """Change fields of a row's file, or of its provenance; ``to``: write it elsewhere."""
    row = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        (row if key in row else row["provenance"])[key] = value
    (to or path).write_text(json.dumps(row), encoding="utf-8")
