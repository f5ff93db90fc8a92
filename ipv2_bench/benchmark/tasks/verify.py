"""Rows held to their images: whether a row says what its images give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.measuring import measure_test_set
from ipv2_bench.benchmark.prepared import Prepared
from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.make import REPLICATES, measure_row, split_rule
from ipv2_bench.benchmark.rows.row import Row, storable
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.uncertainty import draw_slices
from ipv2_bench.progress import track

if TYPE_CHECKING:
    from ipv2_bench.metrics.image_set import Measurements

TOLERANCE = 1e-4
"""Largest difference between a row's value and the one from its images, relative to the value or to the median size of its
draws, since a distance near 0 is a difference of larger numbers: other processors round otherwise."""

RETRAINED = 0.05
"""Largest difference, relative in the same way, between a row's measure and the one from images that another machine trained
anew. Trainings round otherwise on each processor, and last bits grow with every step."""

RETRAINED_SIGNED = {"HU": 15.0, "1/mm": 1e-3}
"""The same for measures of either sign, by their unit, where these are larger."""

WEIGHTS_HU = 2.0
"""Largest difference in HU between a row's images and those that its weights give anew."""


@dataclass(frozen=True)
class Verdict:
    """The result for one row: its file's name, what differs from its images, and how many numbers were compared."""

    name: str
    differences: tuple[str, ...]
    checked: int


def verify(
    config: Config, paths: Sequence[Path], weights: bool = False, progress: bool = True, retrained: bool = False
) -> list[Verdict]:
    """Measure the images of rows anew and compare every number.

    Parameters
    ----------
    config
        Of the benchmark that the rows are of.
    paths
        Row files.
    weights
        Also denoise the test slices anew with the row's weights, and compare the images.
    progress
        Show progress.
    retrained
        The images are those of the same cells computed on another machine: compare the measures alone, as closely as machines
        agree.

    Raises
    ------
    InputError
        When a file is no row, is of other data, or its images are absent.
    """
    rows = [(path, read_row(path)) for path in paths]
    prepared = Prepared.open(config, progress)
    for path, row in rows:
        _check_data(prepared, path, row)
    return [_verify(prepared, path, row, weights, retrained) for path, row in track(rows, "rows", unit="row", enabled=progress)]


def _check_data(prepared: Prepared, path: Path, row: Row) -> None:
    own = {
        "data_manifest": prepared.slices.manifest,
        "window_hu": (prepared.window.low, prepared.window.high),
        "size": prepared.config.data.size,
        "n_train": len(prepared.split.train),
        "split": split_rule(prepared.config),
    }
    for key, value in own.items():
        stated = getattr(row.provenance, key)
        if stated != value:
            raise InputError(
                f"the row {path.name} is of other data ({key} {str(stated)[:16]} and not {str(value)[:16]}): "
                "give the configuration and settings that it was computed with"
            )


def _verify(prepared: Prepared, path: Path, row: Row, weights: bool, retrained: bool) -> Verdict:
    images, reference = (_images(prepared, path, set_id) for set_id in (row.images, row.reference))
    measured, to = (_measured(prepared, x) for x in (images, reference))
    draws = draw_slices(prepared.test_patients, REPLICATES)
    structure = any(c in row.measures for c in prepared.catalogue.of_group("structure"))
    anew = measure_row(measured, to, draws, (images, reference) if structure else None)
    expected: dict[str, dict[str, Any]] = {
        "measures": anew.measures,
        "intervals": anew.intervals,
        "n_units": anew.n_units,
        "replicates": storable(anew.replicates),
    }
    replicates = expected["replicates"]
    if retrained:
        expected = {part: expected[part] for part in ("measures", "n_units")}
    numbers, problems = 0, []
    for part, values in expected.items():
        stated = storable(row.drawn) if part == "replicates" else getattr(row, part)
        for name in values.keys() | stated.keys():
            numbers += 1
            own, true = stated.get(name), values.get(name)
            draws_of = () if part == "n_units" else replicates.get(name, ())
            near = _retrained_tolerance(prepared, name) if retrained and part == "measures" else (TOLERANCE, 1e-9)
            at = _first_difference(own, true, draws_of, *near)
            if at is not None:
                problems.append(f"{part}.{name} is {_shown(own, at)} in the row and {_shown(true, at)} from its images")
    for name, true in (("n_images", len(images)), ("n_test_patients", draws.patients or None)):
        if getattr(row, name) != true:
            problems.append(f"{name} is {getattr(row, name)} in the row, and there are {true}")
    if weights and row.denoiser is not None:
        problems += _from_weights(prepared, row, images)
    return Verdict(path.name, tuple(sorted(problems)), numbers)


def _retrained_tolerance(prepared: Prepared, name: str) -> tuple[float, float]:
    """Relative and absolute tolerance of a measure between machines; a distance's standard error may be any."""
    column = prepared.catalogue.columns.get(name)
    if column is None:
        return float("inf"), 0.0
    signed = column.scale == "identity" and column.unit in RETRAINED_SIGNED
    return RETRAINED, RETRAINED_SIGNED[column.unit or ""] if signed else 1e-9


def _first_difference(
    value: Any, true: Any, draws: Sequence[float | None], tolerance: float = TOLERANCE, least: float = 1e-9
) -> int | None:
    """Place of the first number that is not within the tolerance; ``None`` where all are. ``draws``: of the measure, if any."""
    if value is None or true is None:
        return 0
    one, other, drawn = (np.atleast_1d(np.array(x, dtype=np.float64)) for x in (value, true, draws))
    if one.shape != other.shape:
        return 0
    drawn = np.abs(drawn[np.isfinite(drawn)])
    usual = tolerance * float(np.median(drawn)) if drawn.size else 0.0
    near = np.abs(one - other) <= np.maximum(tolerance * np.abs(other), max(usual, least))
    near |= np.isnan(one) & np.isnan(other)
    return None if near.all() else int(np.argmin(near))


def _images(prepared: Prepared, path: Path, set_id: str) -> np.ndarray:
    work = prepared.config.work
    for place in (work / "cells" / set_id / "denoised.npy", work / "labels" / f"{set_id}.npy"):
        if place.exists():
            return np.load(place, allow_pickle=False)
    raise InputError(
        f"the images {set_id} of the row {path.name} are absent: put them under run.work as "
        f"{prepared.config.name}/cells/{set_id}/denoised.npy, or compute them with ipv2-bench reproduce"
    )


def _measured(prepared: Prepared, images: np.ndarray) -> Measurements:
    return measure_test_set(prepared.measuring, prepared.slices, prepared.split, images)


def _from_weights(prepared: Prepared, row: Row, images: np.ndarray) -> list[str]:
    """What differs when the row's weights denoise the test slices anew."""
    if row.cost is None or not row.cost.parameters:
        return []
    import torch

    from ipv2_bench.denoisers.shared.checkpoint import load_denoiser
    from ipv2_bench.physics.seeding import torch_generator

    folder = prepared.config.work / "cells" / row.images
    outside = {*prepared.config.denoisers, row.denoiser_key or ""}
    largest, batch = 0.0, prepared.config.run.eval_batch
    for number, fold in enumerate(prepared.folds):
        own = folder if len(prepared.folds) == 1 else folder / f"fold-{number}"
        denoiser, _ = load_denoiser(own / "model.safetensors", outside=outside)
        test = fold.split.test
        for start in range(0, len(test), batch):
            index = test[start : start + batch]
            low = torch.from_numpy(prepared.slices.with_neighbours(prepared.slices.low, index, denoiser.context))
            restored = denoiser.restore(low, torch_generator(row.seed, "denoise", start))[:, 0].numpy()
            kept = images[np.searchsorted(prepared.split.test, index)]
            largest = max(largest, float(np.abs(restored - kept).max()))
    largest *= prepared.window.width
    return [f"its weights give images that differ by up to {largest:.3g} HU"] if largest > WEIGHTS_HU else []


def _shown(value: Any, at: int) -> str:
    """A value; of a list, the number at a place."""
    if value is None:
        return "absent"
    if not isinstance(value, (list, tuple)):
        return f"{value:.8g}"
    return f"{value[at]:.8g} at {at}" if at < len(value) and value[at] is not None else f"nothing at {at}"


def report(verdicts: Sequence[Verdict], retrained: bool = False) -> str:
    """One line for each row, and one for each number that is not what its images give."""
    lines = []
    within = f"{100 * RETRAINED:g} %, as closely as machines agree" if retrained else f"{TOLERANCE:g}"
    for v in verdicts:
        if not v.differences:
            lines.append(f"{v.name}: equal ({v.checked} numbers within {within})")
        lines += [f"{v.name}: NOT equal: {d}" for d in v.differences]
    if not retrained and any(v.differences for v in verdicts):
        lines.append("rows that another machine computed are compared with --retrained")
    return "\n".join(lines)
