"""Where the numbers come from: data, split, training, measures, program and machine, as their rows say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.row import Provenance, Row
from ipv2_bench.benchmark.views.html.charts.scale import minus


def provenance_facts(config: Config, rows: Sequence[Row]) -> dict[str, str]:
    """The facts of the page's foot by their names, from the rows of its tables, at least one."""
    first, one = rows[0], rows[0].provenance
    low, high = one.window_hu
    budget = one.budget
    rate = f"{budget.lr:g}" if budget.lr else "of each denoiser"
    seeds = ", ".join(map(str, sorted({row.seed for row in rows})))
    image_sets = len({(row.images, row.label, row.strategy, row.seed) for row in rows})
    return {
        "Benchmark": f"{one.benchmark}: {config.heading}",
        "Data": f"{one.source}, {one.size}×{one.size} pixels, window {minus(f'{low:g} to {high:g}')} HU",
        "Manifest of the data": one.data_manifest,
        "Split": f"by {one.split.rule}; {one.n_train} training and {first.n_images} test slices of "
        f"{first.n_test_patients or 'unknown'} test patients{_folds(one)}; split seed {one.split.seed}",
        "Training": f"{budget.length} of batch {budget.batch}, learning rate {rate}, {budget.schedule}, "
        f"{budget.precision}; seeds {seeds}",
        "Noise of module 2": f"{one.module_2['dose_model']}, {_photons(one)} photons per mm of the detector at full dose",
        "Feature spaces": "; ".join(f"{key} {e.version}, SHA-256 {e.sha256}" for key, e in one.extractors.items()),
        "Rows": f"{image_sets} of schema {first.row_schema}, in the folder rows",
        "Code versions": ", ".join(f"{name} {version}" for name, version in one.versions.items()),
        "Measures, hash of versions": _all(row.provenance.measuring for row in rows) or "unknown",
        "Commit of the rows": _all(row.provenance.commit for row in rows) or "unknown",
        "Packages": ", ".join(f"{name} {version}" for name, version in one.packages.items()),
        "Processor": _all(row.provenance.processor for row in rows) or "unknown",
    }


def _folds(one: Provenance) -> str:
    """That each patient is tested once, where there are folds."""
    return f", each tested by one of {one.split.folds} trainings that have not seen them" if one.split.folds else ""


def _photons(one: Provenance) -> str:
    """Photons of module 2, of each fold where there are several."""
    photons = one.module_2["acquisition"]["photons"]
    return " and ".join(f"{x:,.0f}" for x in (photons if isinstance(photons, list) else [photons]))


def _all(values: Iterable[str | None]) -> str:
    """Every different value, in order."""
    return ", ".join(dict.fromkeys(value for value in values if value))
