"""Names of everything that a small form of ``quick`` computes: slices, cells, labels, measurements and rows.

``python -m tests.names_of_results WORK`` prints them as JSON, by the package that comes first on the Python path.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from ipv2_bench.benchmark import module_2
from ipv2_bench.benchmark.cells import labels
from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import load_tables

SMALL = (
    *("data.patients=4", "data.levels=4", "data.size=64", "data.views=32", "noise.views=32"),
    *("data.fractions=[0.5,0.25,0.25]", "tables=[table1.yaml,table2.yaml,table3.yaml,table_tuned.yaml]"),
)

Names = dict[str, dict[str, str]]


def names_of_results(work: Path) -> Names:
    """By kind, what it is in words → its name on the disk. Nothing is trained, and no label is computed."""
    config = load_config("quick", [*SMALL, f"run.work={work}"])
    with patch.object(module_2, "read_object", wraps=module_2.read_object) as read:
        benchmark = Benchmark.open(config, load_tables(config), progress=False)
    slices, calibration = benchmark.prepared.slices, read.call_args.args[0].stem
    names: Names = {"slices": {"folder": slices.folder.name, "manifest": slices.manifest}, "calibration": {"file": calibration}}
    names |= {"cells": {}, "labels": {}, "measures": {}, "rows": {}}
    for spec in benchmark.cells.values():
        names["cells"][spec.name] = spec.cell_id
        names["measures"][spec.name] = spec.measures_path.stem
    with unmeasured(len(benchmark.prepared.split.test)):
        rows = Rows(benchmark)
        for table in benchmark.tables:
            for line in table.lines:
                of_label = benchmark.reference(line, 0) if line.denoiser else benchmark.images(line, 0)
                names["labels"][line.label if line.denoiser else line.name] = of_label.set_id
                names["measures"][line.label if line.denoiser else line.name] = of_label.measures_path.stem.split("-")[1]
                names["rows"][f"{table.key}: {line.name} to {line.label}"] = rows.path(line, 0).stem
    return names


def unmeasured(n: int) -> Any:
    """A context in which labels of n slices cost nothing."""
    nothing = SimpleNamespace(save=lambda path: path.write_bytes(b""))
    return patch.multiple(
        labels, _label=lambda *_: np.zeros((n, 64, 64), np.float32), measure_test_set=lambda *_: nothing
    )


if __name__ == "__main__":
    import ipv2_bench

    print(json.dumps({"package": str(Path(ipv2_bench.__file__).parent), "names": names_of_results(Path(sys.argv[1]))}))
