"""Rows held to their images: is what a row says what its images give?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.measuring import test_measures
from ipv2_bench.benchmark.plan import Prepared, prepare
from ipv2_bench.benchmark.results import REPLICATES, measured
from ipv2_bench.benchmark.row_files import read_row, storable
from ipv2_bench.denoisers.checkpoint import load_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.measure import Measures
from ipv2_bench.metrics.uncertainty import draw_slices
from ipv2_bench.physics.seeding import torch_generator

TOLERANCE = 1e-4
"""Largest relative difference between a row's value and the one from its images: other processors round otherwise."""

WEIGHTS_HU = 2.0
"""Largest difference in HU between a row's images and those that its weights give anew."""


@dataclass(frozen=True)
class Verdict:
    """What came out for one row: nothing in ``differences`` when it is what its images give."""

    name: str
    differences: tuple[str, ...]
    checked: int


def verify(config: Config, paths: Sequence[Path], weights: bool = False, progress: bool = True) -> list[Verdict]:
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
        Show progress bars.

    Raises
    ------
    InputError
        When a file is no row, is of other data, or its images are not here.
    """
    from tqdm import tqdm

    rows = [(path, read_row(path)) for path in paths]
    ready = prepare(config, progress)
    found = []
    for path, row in tqdm(rows, desc="rows", unit="row", disable=not progress):
        _check_data(ready, path, row)
        found.append(_verify(ready, path, row, weights))
    return found


def _check_data(ready: Prepared, path: Path, row: dict[str, Any]) -> None:
    came = row["provenance"]
    own = {
        "data_manifest": ready.slices.manifest,
        "window_hu": [ready.window.low, ready.window.high],
        "size": ready.config.data.size,
        "n_train": len(ready.split.train),
    }
    for key, value in own.items():
        if came[key] != value:
            raise InputError(
                f"the row {path.name} is of other data ({key} {str(came[key])[:16]} and not {str(value)[:16]}): "
                "give the configuration and settings that it was computed with"
            )


def _verify(ready: Prepared, path: Path, row: dict[str, Any], weights: bool) -> Verdict:
    images, reference = (_images(ready, path, row[k]) for k in ("images", "reference"))
    measures, to = (_measures(ready, x) for x in (images, reference))
    draws = draw_slices([ready.slices.patient[i] for i in ready.split.test], REPLICATES)
    expected, replicates = measured(measures, to, draws, (images, reference) if "structure" in row else None)
    expected["replicates"] = storable(replicates)
    numbers, problems = 0, []
    for part, values in expected.items():
        for name in values.keys() | row.get(part, {}).keys():
            numbers += 1
            got, true = row.get(part, {}).get(name), values.get(name)
            if got is None or true is None or not _equal(got, true):
                problems.append(
                    f"{part}.{name} is {_shown(got, true)} in the row and {_shown(true, got)} from its images"
                )
    for name, true in (("n_images", len(images)), ("n_test_patients", draws.patients)):
        if row[name] != true:
            problems.append(f"{name} is {row[name]} in the row, and there are {true}")
    if weights and row["denoiser_key"]:
        problems += _from_weights(ready, path, row, images)
    return Verdict(path.name, tuple(sorted(problems)), numbers)


def _equal(got: Any, true: Any) -> bool:
    """Whether a number, or a list of numbers or nothing, is within the tolerance."""
    one, other = (np.array(x, dtype=np.float64) for x in (got, true))
    return one.shape == other.shape and np.allclose(one, other, rtol=TOLERANCE, atol=1e-9, equal_nan=True)


def _images(ready: Prepared, path: Path, set_id: str) -> np.ndarray:
    for place in (ready.work / "cells" / set_id / "denoised.npy", ready.work / "labels" / f"{set_id}.npy"):
        if place.exists():
            return np.load(place, allow_pickle=False)
    raise InputError(
        f"the images {set_id} of the row {path.name} are not here: put them under run.work as "
        f"{ready.config.name}/cells/{set_id}/denoised.npy, or compute them with ipv2-bench reproduce"
    )


def _measures(ready: Prepared, images: np.ndarray) -> Measures:
    return test_measures(ready.slices, ready.split, ready.window, images)


def _from_weights(ready: Prepared, path: Path, row: dict[str, Any], images: np.ndarray) -> list[str]:
    file = ready.work / "cells" / row["images"] / "model.safetensors"
    if not row["cost"].get("parameters"):
        return []
    denoiser, _ = load_denoiser(file, outside=ready.config.denoisers)
    worst = 0.0
    for start in range(0, len(images), ready.config.run.eval_batch):
        index = ready.split.test[start : start + ready.config.run.eval_batch]
        low = torch.from_numpy(ready.slices.with_neighbours(ready.slices.low, index, denoiser.context))
        made = denoiser.restore(low, torch_generator(row["seed"], "denoise", start))[:, 0].numpy()
        worst = max(worst, float(np.abs(made - images[start : start + len(index)]).max()))
    worst *= ready.window.width
    return [f"its weights give images that differ by up to {worst:.3g} HU"] if worst > WEIGHTS_HU else []


def _shown(value: Any, other: Any) -> str:
    """A value; of a list, the first that is not the other's."""
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        at = next(i for i, (a, b) in enumerate(zip(value, other, strict=True)) if not _equal(a, b))
        return f"{_shown(value[at], None)} at {at}"
    return "not there" if value is None else f"{value}"[:40] if isinstance(value, list) else f"{value:.8g}"


def report(verdicts: Sequence[Verdict]) -> str:
    """One line for each row, and one for each number that is not what its images give."""
    out = []
    for v in verdicts:
        if not v.differences:
            out.append(f"{v.name}: equal ({v.checked} numbers within {TOLERANCE:g})")
        out += [f"{v.name}: NOT equal: {d}" for d in v.differences]
    return "\n".join(out)
