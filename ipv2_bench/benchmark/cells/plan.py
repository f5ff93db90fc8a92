"""From a configuration to the data, and to the cells that its tables need, each once."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench import registry
from ipv2_bench.benchmark.cell import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.provenance import training_code
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.data.slices import SliceSet, write_whole
from ipv2_bench.data.source import Source
from ipv2_bench.data.split import Split, keeps_patients_apart, split_slices
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import code, digest
from ipv2_bench.metrics.weights import VARIABLE
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.scanner import Acquisition
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.purification.calibration import Calibration, calibrate

SIMULATED = Strategy(kind="simulated")


@dataclass(frozen=True)
class Prepared:
    """Data of a benchmark, ready to train on."""

    config: Config
    window: Window
    slices: SliceSet
    split: Split
    add_noise: AddNoise

    @property
    def work(self) -> Path:
        """Folder of this benchmark's cells."""
        return Path(self.config.run.work) / self.config.name


def prepare(config: Config, progress: bool = True) -> Prepared:
    """Make or open the slices, split them and calibrate module 2 on the training pairs."""
    window, slices, split = open_slices(config, progress)
    return Prepared(config, window, slices, split, _module_2(config, window, slices, split))


def open_slices(config: Config, progress: bool = True) -> tuple[Window, SliceSet, Split]:
    """Make or open the slices of a configuration and split them."""
    if config.run.weights:
        if not Path(config.run.weights).is_dir():
            raise InputError(f"run.weights is '{config.run.weights}': there is no such folder")
        os.environ[VARIABLE] = str(Path(config.run.weights).resolve())  # workers inherit it
    source_class = registry.find("ipv2_bench.data.sources", config.data.source, Source)  # type: ignore[type-abstract]
    source = registry.build(source_class, Source, config.data.options, f"data source {config.data.source}")
    try:
        window = Window(*config.data.window)
    except ValueError as error:
        raise InputError(str(error)) from error
    slices = source.slices(Path(config.run.work) / "cache", window, config.data.size, progress)
    split = split_slices(slices, config.data.split, config.data.fractions, config.data.split_seed)
    if len(split.test) < 4 or len(split.train) < 2:
        raise InputError(
            f"{len(split.train)} training and {len(split.test)} test slices: expected at least 2 and 4, since distances "
            "between smaller sets mean nothing; add slices or change data.fractions"
        )
    return window, slices, split


def module_2(config: Config, window: Window) -> AddNoise:
    """Module 2 as the configuration has it, before any calibration."""
    noise = config.noise
    try:
        return AddNoise(
            window,
            Acquisition(
                photons=noise.photons,
                views=noise.views,
                filter_name=noise.filter_name,
                dose=noise.dose,
                inserted=True,
                quantum=noise.quantum,
            ),
            noise.dose_model,
        )
    except ValueError as error:
        raise InputError(f"noise: {error}") from error


def calibrated(start: AddNoise, slices: SliceSet, train: np.ndarray, low_alone: bool = False) -> Calibration:
    """Module 2 calibrated on the training slices; with ``low_alone`` without their NDCT."""
    # A few dozen slices spread over all training patients measure the level to a percent.
    use = train[np.linspace(0, len(train) - 1, min(32, len(train))).astype(int)]
    normal = None if low_alone else np.array(slices.normal[use])
    patient = [slices.patient[i] for i in use]
    found = calibrate(start, np.array(slices.low[use]), normal, slices.pixel_mm[use], seed=0, patient=patient)
    if found.add_noise.acquisition.photons > 1e4 * start.acquisition.photons:
        raise InputError(
            "the uLDCT are not noisier than the NDCT, so there is no noise to calibrate module 2 to: are the two swapped?"
        )
    return found


def _module_2(config: Config, window: Window, slices: SliceSet, split: Split) -> AddNoise:
    start = module_2(config, window)
    if not config.noise.calibrate or config.noise.dose_model == "published":
        return start
    identity = [start.identity(), split.train.tolist(), code("physics", "purification")]
    path = slices.folder / f"calibration-{digest(identity)}.json"
    if not path.exists():
        found = calibrated(start, slices, split.train)
        write_whole(
            path, lambda file: file.write(json.dumps({"photons": found.add_noise.acquisition.photons}).encode())
        )
    photons = json.loads(path.read_text())["photons"]
    return replace(start, acquisition=replace(start.acquisition, photons=photons))


@dataclass(frozen=True)
class CellKey:
    """What names a cell in a table: denoiser, training strategy (without what does not shape training) and seed."""

    denoiser: str
    training: str
    seed: int


def cell_key(denoiser: str, strategy: Strategy, seed: int) -> CellKey:
    """The key of the cell that a table's row needs."""
    return CellKey(denoiser, json.dumps(strategy.training_identity(), sort_keys=True), seed)


def check(config: Config, tables: list[Table]) -> None:
    """Refuse denoisers and options that do not exist, before any work is done.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    _refuse_half_precision_without_a_gpu(config)
    used = {row.denoiser for table in tables for row in table.rows if row.denoiser}
    for name in sorted(used | {config.weak_denoiser} | set(config.denoisers)):
        _try(config, name)


def _refuse_half_precision_without_a_gpu(config: Config) -> None:
    """On a CPU Lightning would train in bfloat16 and leave the name as it is."""
    import torch

    on_cpu = config.run.accelerator == "cpu" or (config.run.accelerator == "auto" and not torch.cuda.is_available())
    if config.train.precision == "16-mixed" and on_cpu:
        raise InputError("train.precision=16-mixed needs a GPU: use bf16-mixed or 32-true on a CPU")


def _try(config: Config, name: str) -> None:
    """Refuse a denoiser whose options or divisor do not fit, without giving it memory."""
    import torch

    from ipv2_bench.denoisers.base import Denoiser

    cls, options = denoiser_options(config, name)
    with torch.device("meta"):
        made: Any = registry.build(cls, Denoiser, {**options, "seed": 0}, f"denoiser {name}")
    if made.context > 1 and not keeps_patients_apart(config.data.split):
        raise InputError(
            f"denoiser {name} sees {made.context} slices, and data.split={config.data.split} would show it those of the test "
            "set in training: use data.split=patient, or a context of 1"
        )
    if config.data.size % made.divisor:
        raise InputError(
            f"data.size is {config.data.size}: denoiser {name} takes multiples of {made.divisor} in training, such as "
            f"{-(-config.data.size // made.divisor) * made.divisor}"
        )


def denoiser_title(config: Config, name: str) -> str:
    """How a denoiser is called in tables; a variant by what follows the denoiser's own name: ``fm_tuned`` is "FM, tuned"."""
    from ipv2_bench.denoisers.base import Denoiser

    base = registered_name(config, name)
    cls = registry.find("ipv2_bench.denoisers", base, Denoiser)  # type: ignore[type-abstract]
    title = cls.title or cls.__name__
    return title if base == name else f"{title}, {name.removeprefix(f'{base}_').replace('_', ' ')}"


def registered_name(config: Config, name: str) -> str:
    """The denoiser that a name in a table stands for: itself, or that of which it is a variant."""
    return str(config.denoisers.get(name, {}).get("variant_of", name))


def denoiser_options(config: Config, name: str) -> tuple[type, dict]:
    """The class of a denoiser, and its options from the configuration and the budget.

    A variant has those of the denoiser that ``variant_of`` names, and its own before them.
    """
    from ipv2_bench.denoisers.base import Denoiser

    base = registered_name(config, name)
    if base != name and name in registry.names("ipv2_bench.denoisers", Denoiser):  # type: ignore[type-abstract]
        raise InputError(
            f"denoisers.{name}.variant_of is '{base}': {name} is a denoiser itself; give the variant a new name"
        )
    cls = registry.find("ipv2_bench.denoisers", base, Denoiser)  # type: ignore[type-abstract]
    options = {**config.denoisers.get(base, {}), **config.denoisers.get(name, {})}
    options.pop("variant_of", None)
    if config.train.lr:
        options.setdefault("lr", config.train.lr)
    options.setdefault("schedule", config.train.schedule)
    valid = sorted(set(registry.options(cls, Denoiser)) - {"seed"})
    unknown = sorted(set(options) - set(valid))
    if unknown:
        raise InputError(f"denoiser {name} has no option '{unknown[0]}': use one of {', '.join(valid)}")
    return cls, options


def plan_cells(ready: Prepared, tables: list[Table]) -> dict[CellKey, CellSpec]:
    """Every cell that the tables need, once, in an order that computes the dear ones first."""
    config = ready.config
    wanted: dict[CellKey, Strategy] = {}
    for seed in config.seeds:
        for table in tables:
            for row in table.rows:
                if row.denoiser:
                    wanted.setdefault(cell_key(row.denoiser, row.strategy, seed), row.strategy)
                if row.label != "NDCT" or (table.images == "label" and row.strategy.remove_noise):
                    wanted.setdefault(cell_key(config.weak_denoiser, SIMULATED, seed), SIMULATED)
    cells = {key: _cell(ready, key, strategy) for key, strategy in wanted.items()}
    # Seeds first, so that a first table can be read early.
    return dict(sorted(cells.items(), key=lambda item: item[0].seed))


def _cell(ready: Prepared, key: CellKey, strategy: Strategy) -> CellSpec:
    config, train = ready.config, ready.config.train
    cls, options = denoiser_options(config, key.denoiser)
    identity: dict[str, Any] = {
        "manifest": ready.slices.manifest,
        "split": [part.tolist() for part in (ready.split.train, ready.split.val, ready.split.test)],
        "window": asdict(ready.window),
        "denoiser": registered_name(config, key.denoiser),
        "options": options,
        "strategy": strategy.training_identity(),
        "noise": ready.add_noise.identity() if strategy.needs_noise else None,
        "budget": [
            *(train.steps, 0 if train.steps else train.epochs, train.batch_size, train.clip, train.precision),
            *(train.accumulate, train.compile, train.channels_last),
        ],
        "seed": key.seed,
        "code": training_code(cls),
    }
    if int(options.get("context") or 1) > 1:
        identity["stack"] = ready.slices.stack
    cell_id = digest(identity)
    _, threads = parallelism(config)
    return CellSpec(
        cell_id=cell_id,
        folder=ready.work / "cells" / cell_id,
        title=denoiser_title(config, key.denoiser),
        denoiser=registered_name(config, key.denoiser),
        options=options,
        strategy=strategy,
        seed=key.seed,
        add_noise=ready.add_noise,
        slices=ready.slices,
        split=ready.split,
        window=ready.window,
        steps=train.steps,
        epochs=train.epochs,
        batch_size=train.batch_size,
        clip=train.clip,
        precision=train.precision,
        accumulate=train.accumulate,
        compile=train.compile,
        channels_last=train.channels_last,
        accelerator=accelerator(config),
        threads=threads,
        eval_batch=config.run.eval_batch,
        loader_workers=config.run.loader_workers,
    )


def accelerator(config: Config) -> str:
    """``gpu`` or ``cpu`` for ``auto``."""
    if config.run.accelerator != "auto":
        return config.run.accelerator
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def parallelism(config: Config) -> tuple[int, int]:
    """Processes, and CPU threads of each. One thread each on a CPU: small networks gain little from more."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_cpu = accelerator(config) == "cpu"
    processes = config.run.processes or (cores if on_cpu else 1)
    return processes, 1 if on_cpu else max(1, cores // processes)
