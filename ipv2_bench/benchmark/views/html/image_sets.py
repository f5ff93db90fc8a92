"""The image sets of the report's pictures: scans, purified inputs of training, labels, and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipv2_bench.benchmark.plan import Prepared, denoiser_title
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.purification import Strategy

GROUPS = {
    "scan": "What was scanned",
    "input": "What the networks are trained on",
    "label": "What they are measured against",
    "output": "What they make of the uLDCT",
}


@dataclass(frozen=True)
class Shown:
    """Example slices of one image set.

    Attributes
    ----------
    group
        A key of :data:`GROUPS`.
    title
        What it is called.
    images
        [k, N, N] in [0, 1].
    """

    group: str
    title: str
    images: np.ndarray


def image_sets(results: Results, tables: list[Table], places: np.ndarray) -> list[Shown]:
    """Every image set of the tables once, of the first seed.

    Parameters
    ----------
    results
        Of complete cells.
    tables
        Whose lines are shown.
    places
        Of the example slices in the test set.
    """
    ready, seed = results.ready, results.ready.config.seeds[0]
    test = ready.split.test[places]
    found = [Shown("scan", "uLDCT", np.array(ready.slices.low[test]))]
    found.append(Shown("scan", "NDCT", np.array(ready.slices.normal[test])))
    if ready.slices.truth is not None:
        found.append(Shown("scan", "aligned truth", np.array(ready.slices.truth[test])))
    found += _inputs(results, test)
    seen: set[str] = set()
    labels = [row.strategy for table in tables if table.images == "label" for row in table.rows]
    labels += [Strategy.from_name("IPv2")] * any(row.label != "NDCT" for table in tables for row in table.rows)
    for strategy in labels:
        made = results.label(strategy, seed)
        if made.set_id not in seen:
            seen.add(made.set_id)
            found.append(Shown("label", f"{strategy.name}(NDCT)", np.array(made.images[places])))
    for row in (row for table in tables for row in table.rows if row.denoiser):
        made = results.denoised(row.denoiser, row.strategy, seed)
        if made.set_id not in seen:
            seen.add(made.set_id)
            title = f"{denoiser_title(ready.config, row.denoiser)} + {row.strategy.name}"
            found.append(Shown("output", title, np.array(made.images[places])))
    return found


def _inputs(results: Results, test: np.ndarray) -> list[Shown]:
    """What each training strategy of the cells makes of the slices; masks are those of training, noise is drawn once."""
    found: dict[str, Shown] = {}
    for spec in results.cells.values():
        # IPv1+1+2 and IPv2 train on the same pairs.
        name = spec.strategy.name.replace("IPv1+1+2", "IPv2")
        titles = {"simulated": "A(NDCT), for the weak denoiser", "raw": "uLDCT, as it is"}
        if name not in found:
            made = purified(results.ready, spec.strategy, test, results.ready.config.seeds[0])
            found[name] = Shown("input", titles.get(name, f"{name} input"), made)
    return list(found.values())


def purified(ready: Prepared, strategy: Strategy, index: np.ndarray, seed: int) -> np.ndarray:
    """The training input that a strategy makes of slices, as in validation: [k, N, N] in [0, 1]."""
    import torch

    from ipv2_bench.data.datamodule import PairDataset, PairedCTDataModule
    from ipv2_bench.data.pair import Pair

    module = PairedCTDataModule(ready.slices, ready.split, strategy, ready.add_noise, seed=seed)
    pairs = PairDataset(ready.slices, index, strategy.training_masks(ready.slices))
    batch = Pair(*(torch.stack(parts) for parts in zip(*(pairs[i] for i in range(len(pairs))), strict=True)))
    return module.purify(batch, -1).input[:, 0].numpy()
