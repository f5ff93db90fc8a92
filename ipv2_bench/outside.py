"""Classes of other packages, named ``package.module:Class``: what their code raises becomes one line that names it."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ipv2_bench.errors import InputError, cause_of

T = TypeVar("T")


@contextmanager
def same_folder() -> Iterator[None]:
    """Go back to the working folder at the end: code from outside may change it, and relative paths would lead elsewhere."""
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)


def outside_module(name: str) -> ModuleType:
    """The module of ``package.module:Class``.

    Raises
    ------
    InputError
        When there is none, or it fails.
    """
    module_name = name.partition(":")[0]
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise InputError(f"'{name}' names no module: write package.module:Class, such as my_package.my_module:MyDenoiser")
    try:
        with same_folder():
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(f"module '{module_name}' of '{name}' needs the module '{error.name}': install it") from error
        raise InputError(f"module '{module_name}' of '{name}' is not on the Python path: install it") from error
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever code from outside raises
        raise InputError(
            f"module '{module_name}' of '{name}' fails when it is imported: {cause_of(error)}; python -c 'import {module_name}' "
            "shows where"
        ) from error


def class_from_outside(name: str, base: type[T]) -> type[T]:
    """The subclass of ``base`` that ``package.module:Class`` names.

    Raises
    ------
    InputError
        When there is none, or its module fails.
    """
    module, class_name = outside_module(name), name.partition(":")[2]
    cls = getattr(module, class_name, None)
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        raise InputError(f"'{name}' is no {base.__name__}: expected a subclass of it named '{class_name}'")
    return cls
