"""The configuration of a benchmark: YAML with overrides ``key=value``, validated as a whole before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from yaml import YAMLError

from ipv2_bench.benchmark.settings_errors import problem, top_level, unknown_setting
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.installed import find_configuration

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of all settings: immutable, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSettings(Settings):
    """Where slices come from and how they are split. Keys that are not listed here are options of the source.

    ``source``: a data source. ``size``: pixels along a side. ``window``: HU that map to 0 and 1. ``split``: ``patient``,
    ``slice``, ``folder`` (the parts that the source states) or a file of ``ipv2-bench split``; ``fractions``: train,
    validation, test; ``split_seed``: of their order. ``options``: of the source.
    """

    source: str = "phantom"
    size: Annotated[int, Field(ge=16)] = 128
    window: tuple[Finite, Finite] = (-1000.0, 400.0)
    split: str = "patient"
    fractions: tuple[Finite, Finite, Finite] = (0.7, 0.15, 0.15)
    split_seed: int = 0
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        own = {k: v for k, v in values.items() if k in cls.model_fields}
        rest = {k: v for k, v in values.items() if k not in cls.model_fields}
        options = own.get("options") or {}
        return {**own, "options": {**options, **rest}} if isinstance(options, dict) else own


class TrainSettings(Settings):
    """Budget of every training run.

    ``steps``: optimiser steps; ``None`` to count ``epochs``. ``lr``: peak learning rate; ``None`` for the denoiser's own.
    ``schedule``: of the learning rate. ``clip``: gradient norm; ``None`` for no clipping. ``precision``: Lightning's
    word. ``accumulate``: batches for each step. ``compile``: compile the networks with torch.compile. ``channels_last``:
    keep images and weights in that order of memory.
    """

    steps: Positive | None = None
    epochs: Positive | None = 200
    batch_size: Positive = 2
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accumulate: Positive = 1
    compile: bool = False
    channels_last: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("steps") is not None:
            return {**values, "epochs": None}
        return values

    @model_validator(mode="after")
    def _some_length(self) -> Self:
        if self.steps is None and self.epochs is None:
            raise ValueError("train.steps and train.epochs are both null: set one of them")
        return self

    @property
    def length(self) -> str:
        """The length of training in words."""
        return f"{self.steps} steps" if self.steps is not None else f"{self.epochs} epochs"


class NoiseSettings(Settings):
    """Module 2, Add Noise.

    ``dose_model``: ``physical`` or ``published``. ``filter_name``, ``views``: of the simulated scan. ``dose``: fraction of
    the NDCT's dose. ``photons``: at full dose; where the calibration starts, and ``calibrate: false`` keeps it.
    ``quantum``: ``poisson`` or ``gaussian``. ``redraw``: new noise for a slice at every epoch; ``false`` draws each slice once,
    as the authors did.
    """

    dose_model: Literal["physical", "published"] = "physical"
    filter_name: str = "cosine"
    views: int = 180
    dose: Finite = 0.02
    photons: Finite = 1.5e5
    quantum: str = "poisson"
    calibrate: bool = True
    redraw: bool = True


class MetricsSettings(Settings):
    """What is measured besides the measures of the program.

    ``structure``: SSIM, MS-SSIM, FSIM, VIF, GMSD and IW-SSIM against each row's label. ``extra``: measures of your own,
    ``package.module:Class``.
    """

    structure: bool = False
    extra: tuple[str, ...] = ()


class RunSettings(Settings):
    """How work is done; nothing here changes a result, but for denoisers that draw while they sample (``eval_batch``).

    ``processes``: cells at once; ``None`` for one per core on a CPU and one on a GPU. ``accelerator``: Lightning's word.
    ``eval_batch``: slices per network call when the test set is denoised; a denoiser that draws while it samples has one
    generator for each call, hence other draws with another batch. ``loader_workers``: of each data loader.
    ``checkpoint_seconds``: least time between two checkpoints. ``work``: folder of checkpoints and caches. ``out``:
    folder of the leaderboards. ``weights``: folder with weights of feature extractors, besides the caches that
    ``ipv2-bench check`` lists.
    """

    processes: Positive | None = None
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    eval_batch: Positive = 8
    loader_workers: Count = 0
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 15.0
    work: str = "runs"
    out: str = "leaderboards"
    weights: str | None = None


class WandbSettings(Settings):
    """``mode``: ``auto`` (online when logged in, else offline), ``online``, ``offline`` or ``disabled``; ``project``: name."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "ipv2-bench"


def _distinct(values: tuple) -> tuple:
    if len(set(values)) < len(values):
        raise ValueError(f"{list(values)} names one of them twice")
    return values


class Config(Settings):
    """A whole benchmark.

    ``name``: its folder under ``leaderboards/``. ``meaningful``: false for sizes that only try every path. ``denoisers``:
    options of each denoiser, and variants of one (``variant_of``). ``weak_denoiser``: that of module 3. ``seeds``: of
    training. ``tables``: files beside the configuration, or of the program. ``folder``: of the configuration's file;
    ``own_tables``: whether ``tables`` are those of the file.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")] = "phantom"
    title: str = ""
    meaningful: bool = True
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    noise: NoiseSettings = NoiseSettings()
    metrics: MetricsSettings = MetricsSettings()
    denoisers: dict[str, dict[str, Any]] = {}
    weak_denoiser: str = "fm"
    seeds: Annotated[tuple[Count, ...], Field(min_length=1), AfterValidator(_distinct)] = (0,)
    tables: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        "table1.yaml",
        "table2.yaml",
        "table3.yaml",
    )
    run: RunSettings = RunSettings()
    wandb: WandbSettings = WandbSettings()
    folder: Path = Field(default=Path(), exclude=True)
    own_tables: bool = Field(default=True, exclude=True)

    @property
    def heading(self) -> str:
        """Its title, or its name where it has none."""
        return self.title or self.name

    @property
    def out(self) -> Path:
        """Folder of its leaderboard."""
        return Path(self.run.out) / self.name

    @property
    def work(self) -> Path:
        """Folder of its cells."""
        return Path(self.run.work) / self.name


def load_config(name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, by the name of one of the program's or by path, and apply overrides.

    Parameters
    ----------
    name
        Such as ``quick``, or ``my/config.yaml``.
    overrides
        ``key=value``, such as ``train.steps=100`` or ``data.root=scans``.

    Raises
    ------
    InputError
        For a missing or unreadable file, an unknown key (the valid ones are listed) or a value of the wrong type.
    """
    path = find_configuration(str(name))
    tree = read_yaml(path)
    own = tree.get("tables")
    merged = _merged(tree, overrides, path.name)
    own_tables = merged.get("tables") == own
    return _validated(merged).model_copy(update={"folder": path.parent, "own_tables": own_tables})


def default_config(section_options: Sequence[str] = (), **values: Any) -> Config:
    """The default settings with overrides ``key=value``, for commands that need no configuration file."""
    return _validated(_merged(values, section_options, "the defaults"))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping.

    Raises
    ------
    InputError
        When the file is absent or holds something else.
    """
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise InputError(f"{path} does not exist: " + (f"there are {', '.join(near)}" if near else "check the path"))
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise InputError(f"{path.name} is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path.name} holds no mapping: expected keys such as name, data, train")
    return tree  # type: ignore[return-value]


def _merged(tree: dict[str, Any], overrides: Sequence[str], where: str) -> dict[str, Any]:
    for override in overrides:
        if "=" not in override or override.startswith("="):
            raise InputError(f"'{override}' is no setting: write key=value, for example train.steps=100")
    try:
        given = OmegaConf.from_dotlist(list(overrides))
        base = OmegaConf.create(tree)
        sections = {k for k, f in Config.model_fields.items() if isinstance(f.default, Settings)} | {"denoisers"}
        for key in given:
            if key in sections and not OmegaConf.is_dict(given[key]):
                raise InputError(f"{key!s} is '{given[key]}': expected settings such as {key!s}.NAME=value")
        source, data = OmegaConf.select(given, "data.source"), base.get("data")
        if source is not None and OmegaConf.is_dict(data) and source != data.get("source", DataSettings().source):
            # The options of the file are those of its own source.
            shared = DataSettings.model_fields.keys() - {"options"}
            base["data"] = {k: v for k, v in data.items() if k in shared}
        return OmegaConf.to_container(OmegaConf.merge(base, given), resolve=True)  # type: ignore[return-value]
    except (OmegaConfBaseException, YAMLError) as error:
        raise InputError(f"the settings {list(overrides)} do not fit {where}: {str(error).splitlines()[0]}") from error


def _validated(tree: dict[str, Any]) -> Config:
    for key, field in Config.model_fields.items():
        if field.exclude and key in tree:  # what the program sets itself is no setting
            raise InputError(unknown_setting(key, top_level(Config)))
    try:
        return Config.model_validate(_as_written(tree))
    except ValidationError as error:
        refuse(list(dict.fromkeys(problem(e, tree, Config) for e in error.errors())), "settings")
        raise


def _as_written(tree: dict[str, Any]) -> dict[str, Any]:
    """YAML's lists as tuples, one value for a list of one, and empty sections as their defaults."""
    out = dict(tree)
    for key in ("seeds", "tables"):
        if key in out:
            out[key] = tuple(out[key]) if isinstance(out[key], (list, tuple)) else (out[key],)
    for key, field in Config.model_fields.items():
        if isinstance(field.default, Settings) and isinstance(out.get(key), dict):
            out[key] = {k: tuple(v) if isinstance(v, list) and key != "denoisers" else v for k, v in out[key].items()}
    if isinstance(out.get("denoisers"), dict):
        out["denoisers"] = {k: {} if v is None else v for k, v in out["denoisers"].items()}
    return out
