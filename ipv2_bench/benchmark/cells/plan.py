"""From tables to the cells that they need, each once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ipv2_bench import registry
from ipv2_bench.benchmark.cells.denoisers import DenoiserChoice, choose
from ipv2_bench.benchmark.cells.runners.runner import PACKAGE as RUNNERS
from ipv2_bench.benchmark.cells.runners.runner import Runner, check_runner
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.trial import try_denoiser
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import Prepared, shared_versions
from ipv2_bench.benchmark.tables import Table, TableLine
from ipv2_bench.data.split import keeps_patients_apart
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest, settings_of, version_of
from ipv2_bench.processes import cores
from ipv2_bench.purification.strategy import Strategy
from ipv2_bench.weights import weights_folder

SIMULATED = Strategy.from_name("simulated")


@dataclass(frozen=True)
class CellKey:
    """What names a cell within a benchmark.

    Attributes
    ----------
    denoiser
        Its key.
    training
        What of the strategy shapes training, as JSON.
    seed
        Of training.
    """

    denoiser: str
    training: str
    seed: int

    @classmethod
    def of(cls, denoiser: str, strategy: Strategy, seed: int) -> CellKey:
        """The key of the cell of a denoiser under a strategy."""
        return cls(denoiser, json.dumps(strategy.training_identity(), sort_keys=True), seed)

    @classmethod
    def of_weak_denoiser(cls, config: Config, seed: int) -> CellKey:
        """The key of module 3's weak denoiser."""
        return cls.of(config.weak_denoiser, SIMULATED, seed)

    @classmethod
    def needed(cls, config: Config, line: TableLine, seed: int) -> list[CellKey]:
        """The cells that a line of a table needs."""
        keys = [cls.of(line.denoiser, line.strategy, seed)] if line.denoiser else []
        return [*keys, cls.of_weak_denoiser(config, seed)] if line.needs_weak_denoiser else keys


def check_denoisers(config: Config, tables: list[Table]) -> None:
    """Refuse denoisers whose options or sizes do not fit, before any work is done.

    Raises
    ------
    InputError
        It names the denoiser and the remedy.
    """
    if config.train.precision == "16-mixed" and accelerator(config) == "cpu":
        # On a CPU Lightning would train in bfloat16 and leave the name as it is.
        raise InputError("train.precision=16-mixed needs a GPU: use bf16-mixed or 32-true on a CPU")
    lines = [line for table in tables for line in table.lines]
    used = {line.denoiser for line in lines if line.denoiser}
    for key in sorted(used | {config.weak_denoiser} | set(config.denoisers)):
        choice = choose(config, key)
        strategies = {line.strategy.name: line.strategy for line in lines if line.denoiser == key}
        _refuse_misfit(config, choice, list(strategies.values()))
        if ":" in choice.registered:
            try_denoiser(choice)


def _refuse_misfit(config: Config, choice: DenoiserChoice, strategies: Sequence[Strategy]) -> None:
    """Build the denoiser without giving it memory, and compare its needs with the data's settings and its strategies."""
    import torch

    from ipv2_bench.denoisers.base import Denoiser

    with torch.device("meta"):
        module: Any = registry.build(
            choice.class_, Denoiser, {**choice.options, "seed": 0}, f"denoiser {choice.key}"
        )
    learns = any(True for _ in module.parameters())
    if learns and any(s.corrects for s in strategies) and type(module).estimate is Denoiser.estimate:
        raise InputError(
            f"denoiser {choice.key} cannot be trained under a strategy that corrects its output: let it write estimate(pair, "
            "generator), or take the row out"
        )
    if module.context > 1 and not keeps_patients_apart(config.data.split):
        raise InputError(
            f"denoiser {choice.key} sees {module.context} slices, and data.split={config.data.split} would show it those of the "
            "test set in training: use data.split=patient, or a context of 1"
        )
    name, side = ("data.size", config.data.size) if config.train.crop is None else ("train.crop", config.train.crop)
    if side % module.divisor:
        raise InputError(
            f"{name} is {side}: denoiser {choice.key} takes multiples of {module.divisor} in training, such as "
            f"{-(-side // module.divisor) * module.divisor}"
        )
    if side > config.data.size:
        raise InputError(f"train.crop is {side}: expected at most data.size, {config.data.size}")
    for strategy in strategies if learns else []:
        trained = strategy.training_side(config.data.size, config.train.crop)
        if trained % module.divisor:
            raise InputError(
                f"{strategy.name} trains on {trained}×{trained} pixels, and denoiser {choice.key} takes multiples of "
                f"{module.divisor}: change data.size, train.crop or the strategy's options"
            )
        if trained < module.smallest:
            raise InputError(
                f"{strategy.name} trains on {trained}×{trained} pixels, and denoiser {choice.key} needs {module.smallest}: raise "
                "data.size or train.crop, or change the denoiser's options"
            )


def plan_cells(prepared: Prepared, tables: list[Table]) -> dict[CellKey, CellSpec]:
    """Every cell that the tables need, once, seed after seed, so that a first table can be read early."""
    config = prepared.config
    strategies: dict[CellKey, Strategy] = {}
    for seed in config.seeds:
        for table in tables:
            for line in table.lines:
                for key in CellKey.needed(config, line, seed):
                    weak = key == CellKey.of_weak_denoiser(config, seed)
                    strategies.setdefault(key, SIMULATED if weak else line.strategy)
    shared = _shared(prepared)
    choices = {name: choose(config, name) for name in dict.fromkeys(key.denoiser for key in strategies)}
    return {key: _spec(prepared, key, choices[key.denoiser], strategy, shared) for key, strategy in strategies.items()}


def _shared(prepared: Prepared) -> dict[str, Any]:
    """What is the same in the specification of every cell."""
    config = prepared.config
    _, threads = parallelism(config)
    weights = weights_folder(config.run.weights)
    return {
        "slices": prepared.slices,
        "split": prepared.split,
        "folds": prepared.folds,
        "window": prepared.window,
        "train": config.train,
        "run": config.run.model_copy(update={"weights": weights and str(weights)}),
        "metrics": config.metrics,
        "accelerator": accelerator(config),
        "threads": threads,
        "measuring": prepared.measuring_version,
    }


def _spec(
    prepared: Prepared, key: CellKey, choice: DenoiserChoice, strategy: Strategy, shared: dict[str, Any]
) -> CellSpec:
    cell_id = digest(_identity(prepared, choice, strategy, key.seed))
    folder = prepared.config.work.absolute() / "cells" / cell_id  # a worker's denoiser may change the working folder
    return CellSpec(cell_id=cell_id, folder=folder, denoiser=choice, strategy=strategy, seed=key.seed, **shared)


def _identity(prepared: Prepared, choice: DenoiserChoice, strategy: Strategy, seed: int) -> dict[str, Any]:
    """Everything that determines a cell: data, denoiser, strategy, budget, seed and versions."""
    from ipv2_bench.benchmark.cells.training.train import VERSION as TRAINING
    from ipv2_bench.data.datamodule import VERSION as BATCHES
    from ipv2_bench.denoisers import VERSION as DENOISERS
    from ipv2_bench.denoisers.networks import VERSION as NETWORKS

    splits = [[part.tolist() for part in (s.train, s.val, s.test)] for s in (fold.split for fold in prepared.folds)]
    noise = [settings_of(fold.add_noise) for fold in prepared.folds]
    identity: dict[str, Any] = {
        "manifest": prepared.slices.manifest,
        "split": splits if len(splits) > 1 else splits[0],
        "window": settings_of(prepared.window),
        "denoiser": choice.registered,
        "options": choice.changed_options,
        "strategy": strategy.training_identity(),
        "noise": (noise if len(noise) > 1 else noise[0]) if strategy.needs_noise else None,
        "budget": prepared.config.train.model_dump(exclude_defaults=True, exclude={"lr", "schedule"}),
        "seed": seed,
        "versions": {
            **shared_versions(),
            "training": TRAINING,
            "batches": BATCHES,
            "denoisers": DENOISERS,
            "networks": NETWORKS,
            "denoiser": version_of(choice.class_),
        },
    }
    if _context(choice) > 1:
        identity["stack"] = prepared.slices.stack
    return identity


def _context(choice: DenoiserChoice) -> int:
    """Slices that a denoiser sees: as an option says, as the option's default does, or as its class does."""
    from ipv2_bench.denoisers.base import Denoiser

    option = registry.options(choice.class_, Denoiser).get("context")
    return int(choice.options.get("context", choice.class_.context if option is None else option.default))


def accelerator(config: Config) -> str:
    """``gpu`` or ``cpu`` for ``auto``, otherwise the setting."""
    if config.run.accelerator != "auto":
        return config.run.accelerator
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def parallelism(config: Config) -> tuple[int, int]:
    """Cells at once, and CPU threads of each process. One thread each on a CPU: small networks gain little from more."""
    on_cpu, devices = accelerator(config) == "cpu", config.train.devices
    processes = config.run.processes or max(1, (cores() if on_cpu else gpus()) // devices)
    return processes, 1 if on_cpu else max(1, cores() // (processes * devices))


def gpus() -> int:
    """GPUs that this machine has."""
    import torch

    return torch.cuda.device_count()


def runner_of(config: Config) -> Runner:
    """Where the cells of a configuration run.

    Raises
    ------
    InputError
        When there is no such place, or its options are not usable.
    """
    check_runner(config)
    cls = registry.find(RUNNERS, config.run.on, Runner, "run.on")  # type: ignore[type-abstract]
    runner = registry.build(cls, Runner, config.run.at, f"run.on={config.run.on}")
    runner.processes, _ = parallelism(config)
    runner.folder = config.work.absolute()
    return runner


def check_devices(config: Config) -> None:
    """Refuse trainings over more devices than the place where cells run gives them.

    Raises
    ------
    InputError
        It names both numbers and the remedy.
    """
    runner_of(config).check(config.train.devices, accelerator(config) != "cpu")
