"""The configuration of a benchmark: YAML under ``experiments/``, overrides ``key=value``, everything checked at once."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ipv2_bench.errors import InputError


@dataclass(frozen=True)
class DataConfig:
    """Where slices come from and how they are split. Keys that are not listed here are options of the source.

    ``source``: a file of ``ipv2_bench/data/sources``. ``size``: pixels along a side. ``window``: HU that map to 0 and 1.
    ``split``: ``patient``, ``slice``, ``folder`` (what the source tells) or a file of ``ipv2-bench split``;
    ``fractions``: train, validation, test; ``split_seed``: of their order.
    """

    source: str = "phantom"
    size: int = 128
    window: tuple[float, float] = (-1000.0, 400.0)
    split: str = "patient"
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    split_seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainConfig:
    """Budget of every training run.

    ``steps``: optimiser steps, or 0 to count ``epochs``. ``lr``: peak learning rate, or 0 for the denoiser's own.
    ``schedule``: ``constant``, ``cosine`` or ``one_cycle``. ``clip``: gradient norm, 0 for none. ``precision``: Lightning's
    word. ``accumulate``: batches for each step. ``compile``: let torch.compile take the networks. ``channels_last``: keep
    images and weights in that order of memory.
    """

    steps: int = 0
    epochs: int = 200
    batch_size: int = 2
    lr: float = 0.0
    schedule: str = "constant"
    clip: float = 0.0
    precision: str = "32-true"
    accumulate: int = 1
    compile: bool = False
    channels_last: bool = False

    @property
    def budget(self) -> dict[str, Any]:
        """What a row says of it; of clipping only where there is some."""
        clipped = {"clip": self.clip} if self.clip else {}
        return {
            **clipped,
            "steps": self.steps,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "lr": self.lr,
            "schedule": self.schedule,
            "precision": self.precision,
            "accumulate": self.accumulate,
            "compile": self.compile,
            "channels_last": self.channels_last,
        }


@dataclass(frozen=True)
class NoiseConfig:
    """Module 2.

    ``dose_model``: ``physical`` or ``published``. ``filter_name``, ``views``: of the simulated scan. ``dose``: fraction of
    the NDCT's dose. ``photons``: at full dose; where the calibration starts, and ``calibrate: false`` keeps it.
    ``quantum``: ``poisson`` or ``gaussian``.
    """

    dose_model: str = "physical"
    filter_name: str = "cosine"
    views: int = 180
    dose: float = 0.02
    photons: float = 1.5e5
    quantum: str = "poisson"
    calibrate: bool = True


@dataclass(frozen=True)
class MetricsConfig:
    """What is measured besides distances and fidelity.

    ``structure``: SSIM, MS-SSIM, FSIM, VIF, GMSD and IW-SSIM against each row's label.
    """

    structure: bool = False


@dataclass(frozen=True)
class RunConfig:
    """How work is done; nothing here changes a result.

    ``processes``: cells at once, 0 for one per core on a CPU and one on a GPU. ``accelerator``: Lightning's word.
    ``eval_batch``: slices per network call when the test set is denoised. ``loader_workers``: of each data loader.
    ``work``: folder for checkpoints and caches. ``out``: folder of the leaderboards. ``weights``: folder with weights of
    feature extractors, besides the caches that ``ipv2-bench check`` lists.
    """

    processes: int = 0
    accelerator: str = "auto"
    eval_batch: int = 8
    loader_workers: int = 0
    work: str = "runs"
    out: str = "leaderboards"
    weights: str = ""


@dataclass(frozen=True)
class WandbConfig:
    """``mode``: ``auto`` (online when logged in, else offline), ``online``, ``offline`` or ``disabled``."""

    mode: str = "auto"
    project: str = "ipv2-bench"


@dataclass(frozen=True)
class Config:
    """A whole benchmark.

    ``name`` is its folder under ``leaderboards/``. ``meaningful: false`` marks sizes that only try every path.
    ``denoisers`` maps each denoiser to its options. ``seeds`` are the training seeds. ``tables`` are files beside the
    configuration; ``own_tables``: whether they are its file's, and not those of a setting.
    """

    name: str = "phantom"
    title: str = ""
    meaningful: bool = True
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    noise: NoiseConfig = NoiseConfig()
    metrics: MetricsConfig = MetricsConfig()
    denoisers: dict[str, dict[str, Any]] = field(default_factory=dict)
    weak_denoiser: str = "fm"
    seeds: tuple[int, ...] = (0,)
    tables: tuple[str, ...] = ("table1.yaml", "table2.yaml", "table3.yaml")
    run: RunConfig = RunConfig()
    wandb: WandbConfig = WandbConfig()
    folder: Path = Path("experiments")
    own_tables: bool = True


SECTIONS = {
    "data": DataConfig,
    "train": TrainConfig,
    "noise": NoiseConfig,
    "metrics": MetricsConfig,
    "run": RunConfig,
    "wandb": WandbConfig,
}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration and apply ``key=value`` overrides, such as ``train.steps=100`` or ``data.root=scans``.

    Raises
    ------
    InputError
        For a missing or unreadable file, an unknown key (the valid ones are listed) or a value of the wrong type.
    """
    path = Path(path)
    tree = read_yaml(path)
    own = tree.get("tables")
    for override in overrides:
        if "=" not in override or override.startswith("="):
            raise InputError(f"'{override}' is no setting: write key=value, for example train.steps=100")
    try:
        given = OmegaConf.from_dotlist(list(overrides))
        for key in given:
            if OmegaConf.is_dict(OmegaConf.create(tree).get(key)) and not OmegaConf.is_dict(given[key]):
                raise InputError(f"{key!s} is '{given[key]}': expected settings such as {key!s}.NAME=value")
        merged = OmegaConf.merge(OmegaConf.create(tree), given)
        tree = OmegaConf.to_container(merged, resolve=True)  # type: ignore[assignment]
    except (OmegaConfBaseException, YAMLError) as error:
        raise InputError(
            f"the settings {list(overrides)} do not fit {path.name}: {str(error).splitlines()[0]}"
        ) from error
    return replace(_config(tree, path), own_tables=tree.get("tables") == own)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, or a clear error."""
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = f"there are {', '.join(near)}" if near else "run from the repository's folder, or name the file in full"
        raise InputError(f"the configuration {path} is not there: {hint}")
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise InputError(f"{path.name} is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path.name} holds no mapping: expected keys such as name, data, train")
    return tree  # type: ignore[return-value]


def _config(tree: dict[str, Any], path: Path) -> Config:
    tree = copy.deepcopy(tree)
    values: dict[str, Any] = {"folder": path.parent}
    _known(tree, [f.name for f in fields(Config) if f.name not in ("folder", "own_tables")], "")
    for key, value in tree.items():
        values[key] = _section(SECTIONS[key], key, value) if key in SECTIONS else value
    denoisers = values.get("denoisers") or {}
    if not isinstance(denoisers, dict) or any(not isinstance(v or {}, dict) for v in denoisers.values()):
        raise InputError("denoisers must map each denoiser to its options, such as fm: {steps: 10}")
    values["denoisers"] = {name: dict(options or {}) for name, options in denoisers.items()}
    for key in ("seeds", "tables"):
        if key in values:
            value = values[key]
            values[key] = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    defaults = Config()
    for key in ("name", "title", "meaningful", "weak_denoiser"):
        if key in values:
            values[key] = _typed(values[key], getattr(defaults, key), key)
    _check_ranges(values)
    seeds, tables = values.get("seeds", (0,)), values.get("tables", ("table1.yaml",))
    if not tables or not all(isinstance(t, str) for t in tables):
        raise InputError(f"tables is {list(tables)}: expected names of files beside the configuration, at least one")
    if not seeds or not all(isinstance(s, int) and not isinstance(s, bool) for s in seeds):
        raise InputError(f"seeds is {values['seeds']}: expected whole numbers, at least one")
    if not str(values.get("name", "phantom")).replace("-", "_").isidentifier():
        raise InputError(f"name is '{values['name']}': expected letters, digits, - and _, since it names a folder")
    return Config(**values)


LEAST: dict[str, dict[str, float]] = {
    "data": {"size": 16},
    "train": {"steps": 0, "epochs": 1, "batch_size": 1, "lr": 0.0, "clip": 0.0, "accumulate": 1},
    "run": {"processes": 0, "eval_batch": 1, "loader_workers": 0},
}
"""Smallest value of each number that has one."""


SCHEDULES = ("constant", "cosine", "one_cycle")
"""Courses of the learning rate; the denoisers have the same list."""

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
"""Words of Lightning under which weights stay float32."""


ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
"""Words of Lightning for the devices that the denoisers run on."""


def _check_ranges(values: dict[str, Any]) -> None:
    for section, least in LEAST.items():
        for key, low in least.items():
            value = getattr(values.get(section, SECTIONS[section]()), key)
            if value < low:
                raise InputError(f"{section}.{key} is {value}: expected at least {low}")
    precision = values["train"].precision if "train" in values else PRECISIONS[0]
    if precision not in PRECISIONS:
        raise InputError(f"train.precision is '{precision}': use one of {', '.join(PRECISIONS)}")
    accelerator = values["run"].accelerator if "run" in values else "auto"
    if accelerator not in ACCELERATORS:
        raise InputError(f"run.accelerator is '{accelerator}': use one of {', '.join(ACCELERATORS)}")
    schedule = values["train"].schedule if "train" in values else "constant"
    if schedule not in SCHEDULES:
        raise InputError(f"train.schedule is '{schedule}': use one of {', '.join(SCHEDULES)}")


def _section(cls: type, where: str, value: Any) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where} is '{value}': expected settings such as {where}.{fields(cls)[0].name}=…")
    own = [f.name for f in fields(cls) if f.name != "options"]
    rest = {k: v for k, v in value.items() if k not in own}
    if cls is not DataConfig:
        _known(value, own, f"{where}.")
    default = cls()
    known = {k: _typed(v, getattr(default, k), f"{where}.{k}") for k, v in value.items() if k in own}
    return cls(**known, **({"options": rest} if cls is DataConfig else {}))


def _known(given: dict[str, Any], valid: Sequence[str], prefix: str) -> None:
    for key in given:
        if key not in valid:
            raise InputError(f"setting '{prefix}{key}' is unknown: use one of {', '.join(prefix + v for v in valid)}")


def _typed(value: Any, default: Any, where: str) -> Any:
    """``value`` as the type of ``default``, or a clear error."""
    if isinstance(default, tuple) and isinstance(value, (list, tuple)) and len(value) == len(default):
        return tuple(_typed(v, d, where) for v, d in zip(value, default, strict=True))
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}: expected a finite number, such as {default}")
    if type(value) is type(default):
        return value
    shape = f"{len(default)} numbers" if isinstance(default, tuple) else type(default).__name__
    raise InputError(f"{where} is '{value}': expected {shape}, such as {default}")
