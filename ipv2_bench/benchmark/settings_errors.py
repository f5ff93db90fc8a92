"""Errors of validation as one line each, in the words of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from ipv2_bench.registry import suggestion


def problem(error: Any, tree: dict[str, Any], model: type[BaseModel]) -> str:
    """One line for an error of validation: the setting, its value, and what was expected.

    Parameters
    ----------
    error
        One of pydantic's.
    tree
        The settings as they were given.
    model
        Of the whole configuration.
    """
    where = ".".join(str(part) for part in error["loc"] if not isinstance(part, int))
    kind = error["type"]
    value = list(error["input"]) if isinstance(error["input"], tuple) else error["input"]  # as YAML writes it
    section = model.model_fields.get(str(error["loc"][0])) if error["loc"] else None
    default: Any = section.default if section else None
    if isinstance(default, BaseModel) and len(error["loc"]) > 1:
        default = getattr(default, str(error["loc"][1]), None)
    if kind == "extra_forbidden":
        inside = section.default if section else None
        if isinstance(inside, BaseModel):
            return unknown_setting(where, list(type(inside).model_fields), f"{error['loc'][0]}.")
        return unknown_setting(where, top_level(model))
    if kind == "literal_error":
        return f"{where} is '{value}': use one of {error['ctx']['expected'].replace(chr(39), '').replace(' or ', ', ')}"
    if kind in ("greater_than_equal", "greater_than"):
        bound = f"at least {error['ctx']['ge']}" if "ge" in error["ctx"] else f"more than {error['ctx']['gt']}"
        return f"{where} is {value}: expected {bound}"
    if kind == "finite_number":
        return f"{where} is {value}: expected a finite number, such as {default}"
    if where == "name":
        return f"name is '{value}': expected letters, digits, - and _, since it names a folder"
    if where.startswith("denoisers"):
        return "denoisers must map each denoiser to its options, such as fm: {steps: 10}"
    if where == "seeds":
        shown = list(tree["seeds"]) if isinstance(tree["seeds"], (list, tuple)) else tree["seeds"]
        return f"seeds is {shown}: expected different whole numbers from 0 on, at least one"
    if where == "tables":
        return f"tables is {tree['tables']}: expected different names of table files, at least one"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if isinstance(default, BaseModel):
        return f"{where} is '{value}': expected settings such as {where}.{next(iter(type(default).model_fields))}=…"
    return f"{where} is '{value}': expected {_expected(kind, default)}"


def _expected(kind: str, default: Any) -> str:
    """What a setting takes, in words, from pydantic's type of error and the default."""
    words = {"bool": "true or false", "int": "a whole number", "float": "a number", "string": "a word", "dict": "NAME: value"}
    expected = words.get(kind.partition("_")[0], "another value")
    if isinstance(default, tuple):
        expected = f"{len(default)} numbers" if default else "a list of words"
    shown = list(default) if isinstance(default, tuple) else default
    return expected + ("" if default is None or default == () else f", such as {str(shown).lower()}")


def unknown_setting(name: str, known: Sequence[str], section: str = "") -> str:
    """One line for a setting that does not exist; ``known`` are the valid ones of its ``section``, such as ``train.``."""
    hint = suggestion(name.removeprefix(section), known)
    return f"setting '{name}' is unknown: {hint}use one of {', '.join(section + k for k in known)}"


def top_level(model: type[BaseModel]) -> list[str]:
    """Names of the settings and sections of a configuration."""
    return [k for k, f in model.model_fields.items() if not f.exclude]
