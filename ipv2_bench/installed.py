"""Configurations, table specifications and published numbers: installed with the package, found by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from ipv2_bench.errors import InputError

PACKAGE = Path(__file__).resolve().parent


def _folder(name: str, in_checkout: str) -> Path:
    """A folder of data files: inside of the installed package, or in the checkout that the package is run from."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / in_checkout


def experiments() -> Path:
    """Folder of the configurations and table specifications."""
    return _folder("experiments", "experiments")


def published() -> Path:
    """Folder of the published numbers."""
    return _folder("published", "leaderboards/published")


def configurations() -> list[str]:
    """Names of the configurations that come with the program."""
    return sorted(p.stem for p in experiments().glob("*.yaml") if not p.stem.startswith("table"))


def find_configuration(name: str) -> Path:
    """The file of a configuration: a path, or the name of one that comes with the program.

    Raises
    ------
    InputError
        When there is neither; similar names are suggested.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if path.is_file():
            return path
        raise InputError(
            f"the configuration {name} does not exist: give the path of a YAML file, or one of {', '.join(configurations())}"
        )
    inside = experiments() / f"{name}.yaml"
    if name in configurations():
        return inside
    near = difflib.get_close_matches(name, configurations(), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(
        f"the configuration '{name}' is unknown: {hint}use one of {', '.join(configurations())}, or a path of a YAML file"
    )
