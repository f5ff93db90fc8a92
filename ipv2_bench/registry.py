"""Find a class by the name of its module: adding one means adding one file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import numbers
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeVar

from ipv2_bench.errors import InputError

T = TypeVar("T")


def names(package: str, base: type[T]) -> list[str]:
    """Keys of all classes under ``package``: its modules that define a concrete subclass of ``base``."""
    root = importlib.import_module(package)
    found = [m.name for m in pkgutil.iter_modules(root.__path__) if not m.ispkg and not m.name.startswith("_")]
    return sorted(n for n in found if _defined(importlib.import_module(f"{package}.{n}"), base))


def find(package: str, name: str, base: type[T]) -> type[T]:
    """The subclass of ``base`` called ``name``: a module of ``package``, or ``outside.module:Class``.

    Raises
    ------
    InputError
        When there is none; the valid names are listed. An error inside an outside module comes through.
    """
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and not module_name.startswith(error.name):
                raise  # the module is there, but something that it imports is not
            raise InputError(f"module '{module_name}' of '{name}' is not on the Python path: install it") from error
        found = getattr(module, class_name, None)
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise InputError(f"'{name}' is no {base.__name__}: expected a subclass of it named '{class_name}'")
        return found
    if name.isidentifier() and importlib.util.find_spec(f"{package}.{name}") is not None:
        classes = _defined(importlib.import_module(f"{package}.{name}"), base)
        if len(classes) == 1:
            return classes[0]
    kind = base.__name__.lower()
    raise InputError(
        f"{kind} '{name}' is unknown: use one of {', '.join(names(package, base))}, or package.module:Class"
    )


def options(cls: type, base: type) -> dict[str, inspect.Parameter]:
    """Keyword options that ``cls`` and the classes it derives from down to ``base`` take."""
    found: dict[str, inspect.Parameter] = {}
    for c in cls.__mro__:
        if "__init__" not in vars(c):
            continue
        parameters = list(inspect.signature(vars(c)["__init__"]).parameters.values())[1:]
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name, p)
        if c is base or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break  # nothing is passed on to the classes above
    return found


def build(cls: type[T], base: type, given: dict, where: str) -> T:
    """``cls(**given)``, refusing options that it does not have.

    Raises
    ------
    InputError
        For an unknown option (the valid ones are listed) or a value that the class refuses.
    """
    valid = options(cls, base)
    unknown = sorted(set(given) - set(valid))
    if unknown:
        raise InputError(f"{where} has no option '{unknown[0]}': use one of {', '.join(sorted(valid))}")
    for name, value in given.items():
        wanted = _wanted(value, valid[name].default)
        if wanted:
            raise InputError(f"{where}: {name} is {value!r}: expected {wanted}, such as {valid[name].default!r}")
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error


def _wanted(value: Any, default: Any) -> str:
    """What was to be given for an option with that default, empty where ``value`` is such a thing."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        return "" if isinstance(value, numbers.Integral) and not isinstance(value, bool) else "a whole number"
    if isinstance(default, float):
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return "" if number and math.isfinite(value) else "a finite number"
    if isinstance(default, str):
        return "" if isinstance(value, str) else "a word"
    if isinstance(default, tuple) and default:
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        return "" if listed and not any(_wanted(v, default[0]) for v in value) else "a list of such numbers"
    return ""


def _defined(module: ModuleType, base: type[T]) -> list[type[T]]:
    return [
        c
        for c in vars(module).values()
        if inspect.isclass(c)
        and issubclass(c, base)
        and c.__module__ == module.__name__
        and not inspect.isabstract(c)
        and c is not base
    ]
