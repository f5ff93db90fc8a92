"""One denoiser under one strategy: train it, or measure it."""

from __future__ import annotations

from collections.abc import Sequence

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.runners.runner import Failure
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tasks.comparison import single_line
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.wandb.publish import followed_training
from ipv2_bench.errors import InputError
from ipv2_bench.stored import present


def _open(config: Config, denoiser: str, strategy: str, background: str | None, progress: bool) -> Benchmark:
    return Benchmark.open(config, [single_line(denoiser, strategy, background)], progress)


def train(config: Config, denoiser: str, strategy: str, background: str | None, progress: bool = True) -> str:
    """Train a denoiser under a strategy with every seed of the configuration; the weights' files in words.

    Raises
    ------
    InputError
        When a name is unknown, the data are not usable, or training fails.
    """
    benchmark = _open(config, denoiser, strategy, background, progress)
    cells = [benchmark.cell(benchmark.tables[0].lines[0], seed) for seed in config.seeds]
    with followed_training(benchmark, [spec for spec in cells if spec is not None]) as failures:
        failures += benchmark.compute(progress)
    _refuse(failures)
    return "\n".join(f"{spec.name}: {one.weights_path}" for spec in benchmark.cells.values() for one in spec.trainings)


def evaluate(config: Config, denoiser: str, strategy: str, background: str | None, progress: bool = True) -> TableView:
    """The table line of a trained denoiser.

    Raises
    ------
    InputError
        When it has not been trained with this configuration.
    """
    benchmark = _open(config, denoiser, strategy, background, progress)
    from ipv2_bench.denoisers.shared.checkpoint import read_checkpoint

    for spec in benchmark.cells.values():
        # A denoiser without weights has the second alone.
        if not all(present(one.weights_path, read_checkpoint) or one.denoised for one in spec.trainings):
            raise InputError(f"{spec.name} is not trained: run ipv2-bench train with the same settings first")
    _refuse(benchmark.compute(progress))
    table = benchmark.tables[0]
    return TableView.of(table, Rows(benchmark).of_table(table), benchmark.prepared.catalogue, config.meaningful)


def _refuse(failures: Sequence[Failure]) -> None:
    if failures:
        raise InputError(f"{failures[0].name} failed: {failures[0].message}")
