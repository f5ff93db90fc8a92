"""The image sets of the page's pictures: scans, purified inputs of training, labels, and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench.benchmark.tables import NDCT
from ipv2_bench.benchmark.views.html.picture_file import Group
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    from ipv2_bench.benchmark.cells.benchmark import Benchmark
    from ipv2_bench.benchmark.prepared import Prepared


@dataclass(frozen=True)
class ShownSet:
    """Example slices of one image set.

    Attributes
    ----------
    group
        A key of :data:`~ipv2_bench.benchmark.views.html.picture_file.GROUPS`.
    title
        Its name.
    images
        [k, N, N] in [0, 1].
    denoiser, strategy
        Of an output: key of its denoiser, and strategy of its training pairs.
    """

    group: Group
    title: str
    images: np.ndarray
    denoiser: str | None = None
    strategy: Strategy | None = None


def image_sets(benchmark: Benchmark, chosen: np.ndarray) -> list[ShownSet]:
    """Every image set of the tables once, of the first seed.

    Parameters
    ----------
    benchmark
        With complete cells.
    chosen
        Indices of the example slices in the test set.
    """
    slices, seed = benchmark.prepared.slices, benchmark.config.seeds[0]
    test = benchmark.prepared.split.test[chosen]
    sets = [ShownSet("scan", "uLDCT", np.array(slices.low[test])), ShownSet("scan", "NDCT", np.array(slices.normal[test]))]
    if slices.truth is not None:
        sets.append(ShownSet("scan", "aligned truth", np.array(slices.truth[test])))
    sets += _inputs(benchmark, test)
    seen: set[str] = set()
    lines = [line for table in benchmark.tables for line in table.lines]
    labels = [line.strategy for line in lines if not line.denoiser]
    labels += [Strategy.from_name("IPv2")] if any(line.label != NDCT for line in lines) else []
    for strategy in labels:
        label = benchmark.label(strategy, seed)
        if label.set_id not in seen:
            seen.add(label.set_id)
            sets.append(ShownSet("label", f"{strategy.name}(NDCT)", np.array(label.images[chosen])))
    for line in lines:
        cell = benchmark.cell(line, seed)
        if cell is not None and cell.cell_id not in seen:
            seen.add(cell.cell_id)
            title = f"{cell.denoiser.title} + {line.strategy.name}"
            images = np.array(benchmark.denoised(cell).images[chosen])
            sets.append(ShownSet("output", title, images, line.denoiser, line.strategy))
    return sets


def _inputs(benchmark: Benchmark, test: np.ndarray) -> list[ShownSet]:
    """The training input that each strategy of the cells makes of slices; masks are those of training, noise is drawn once.

    What is trained on the uLDCT itself is shown once; where a strategy changes the target, that is shown, too.
    """
    slices, sets = benchmark.prepared.slices, dict[str, ShownSet]()
    low = np.array(slices.low[test])
    for spec in benchmark.cells.values():
        name, targets = spec.training_name, spec.strategy.targets(slices)
        images = at_size(training_input(benchmark.prepared, spec.strategy, test, benchmark.config.seeds[0]), slices.size)
        title = "A(NDCT), for the weak denoiser" if name == "simulated" else f"{name} input"
        title = "uLDCT, as it is" if np.array_equal(images, low) else title
        sets.setdefault(title, ShownSet("input", title, images))
        if targets is not None and not spec.strategy.needs_truth:
            title = f"{name} target"
            sets.setdefault(title, ShownSet("input", title, np.array(targets[test])))
    return list(sets.values())


def at_size(images: np.ndarray, size: int) -> np.ndarray:
    """Images [k, M, M] at [k, size, size], each pixel repeated where they are smaller."""
    times = -(-size // images.shape[-1])
    return images.repeat(times, axis=1).repeat(times, axis=2)[:, :size, :size]


def training_input(prepared: Prepared, strategy: Strategy, index: np.ndarray, seed: int) -> np.ndarray:
    """The training input that a strategy makes of slices, as in validation: [k, N, N] in [0, 1]."""
    from ipv2_bench.data.datamodule import PairedCTDataModule

    module = PairedCTDataModule(prepared.slices, prepared.split, strategy, prepared.add_noise, seed=seed)
    return module.purified(index).input[:, 0].numpy()
