"""Where the numbers come from: data, split, training, measuring, code and machine, as their rows tell."""

from __future__ import annotations

from html import escape
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.row_files import Row


def provenance_section(config: Config, of_tables: dict[str, list[list[Row]]]) -> str:
    """The page's foot, from the rows that its tables are made of."""
    rows = [row.data for of_table in of_tables.values() for line in of_table for row in line]
    came = [row["provenance"] for row in rows]
    one = came[0]
    budget = one["budget"]
    length = f"{budget['steps']} steps" if budget["steps"] else f"{budget['epochs']} epochs"
    photons = one["module_2"]["acquisition"]["photons"]
    low, high = one["window_hu"]
    sets = len({(r["images"], r["label"], r["strategy"], r["seed"]) for r in rows})
    facts = {
        "Benchmark": f"{one['benchmark']}: {config.title or config.name}",
        "Data": f"{one['source']}, {one['size']}×{one['size']} pixels, window {low:g} to {high:g} HU".replace("-", "−"),
        "Manifest of the data": one["data_manifest"],
        "Split": f"by {one['split'][0]}; {one['n_train']} training and {rows[0]['n_images']} test slices of "
        f"{rows[0]['n_test_patients'] or 'unknown'} test patients; split seed {one['split'][2]}",
        "Training": f"{length} of batch {budget['batch_size']}, learning rate {_rate(budget['lr'])}, {budget['schedule']}, "
        f"{budget['precision']}; seeds {', '.join(map(str, sorted({r['seed'] for r in rows})))}",
        "Noise of module 2": f"{one['module_2']['dose_model']}, {photons:,.0f} photons at full dose",
        "Feature spaces": "; ".join(
            f"{name} {e['version']}, SHA-256 {e['sha256']}" for name, e in one["extractors"].items()
        ),
        "Rows": f"{sets} of schema {rows[0]['schema']}, in the folder rows",
        "Measuring code": _all(c["measuring_code"] for c in came),
        "Commit of the rows": _all(c["commit"] for c in came) or "unknown",
        "Packages": ", ".join(f"{name} {version}" for name, version in one["versions"].items()),
        "Processor": _all(c["processor"] for c in came),
    }
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f'<dl class="provenance">{items}</dl>'


def _rate(lr: float) -> str:
    return f"{lr:g}" if lr else "of each denoiser"


def _all(values: Any) -> str:
    return ", ".join(dict.fromkeys(v for v in values if v))
