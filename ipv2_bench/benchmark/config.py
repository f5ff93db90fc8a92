"""The configuration of a benchmark: YAML with overrides ``key=value``, validated as a whole before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from yaml import YAMLError

from ipv2_bench.benchmark.settings import (
    Count,
    DataSettings,
    MetricsSettings,
    NoiseSettings,
    RunSettings,
    Settings,
    TrainSettings,
    WandbSettings,
)
from ipv2_bench.benchmark.settings_errors import problem, top_level, unknown_setting
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.files import with_home
from ipv2_bench.installed import find_configuration


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
    denoisers: Annotated[dict[str, dict[str, Any]], Field(default_factory=dict)]
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
    if isinstance(tree.get("run"), dict):  # YAML takes the word on for true
        tree["run"] = {"on" if key is True else key: value for key, value in tree["run"].items()}
    return tree  # type: ignore[return-value]


PATHS = ("data.root", "data.low", "data.normal", "run.work", "run.out", "run.weights")
"""Settings that are paths."""

WORDS = (
    "title", *PATHS, "data.kernel", "data.acquisition", "run.at.time", "run.at.memory", "run.at.partition", "run.at.account",
)  # fmt: skip
"""Settings that are text and no YAML: a path may hold ``#``, ``:`` or brackets, or be a number."""


def _given(override: str) -> DictConfig:
    """One override as a tree. What YAML takes for text is the text as it was written."""
    key, _, text = override.partition("=")
    given = OmegaConf.from_dotlist([override] if key not in WORDS else [f"{key}=null"])
    if key in WORDS[1:]:
        text = text.replace("${", "\\${")  # no interpolation
    elif key not in WORDS and ("${" in text or not isinstance(OmegaConf.select(given, key), str)):
        return given
    OmegaConf.update(given, key, text)
    return given


def _merged(tree: dict[str, Any], overrides: Sequence[str], where: str) -> dict[str, Any]:
    for override in overrides:
        if "=" not in override or override.startswith("="):
            raise InputError(f"'{override}' is no setting: write key=value, for example train.steps=100")
    try:
        given: Any = OmegaConf.merge({}, *map(_given, overrides))
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
    for section, key in (word.split(".") for word in PATHS):
        if isinstance(out.get(section), dict) and isinstance(out[section].get(key), str):
            out[section][key] = with_home(out[section][key])
    if isinstance(out.get("denoisers"), dict):
        out["denoisers"] = {k: {} if v is None else v for k, v in out["denoisers"].items()}
    return out
