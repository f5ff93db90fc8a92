"""Classes found by the name of their module: adding one means adding one file to a package, or to one of its ``ROOMS``.

Names and options are read from the source text first, so that a wrong word is refused without importing torch.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import math
import numbers
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.fingerprint import is_ours
from ipv2_bench.outside import class_from_outside, same_folder

T = TypeVar("T")
UNKNOWN = object()
"""Stands for a default that cannot be read from source text."""


@dataclass(frozen=True)
class ClassText:
    """What the source text of a class says.

    Attributes
    ----------
    name
        Its name.
    base
        Module (empty for the class's own) and name of its first base that is known; ``None`` without one.
    options
        Its own options with their defaults.
    passes_on
        Whether options that it does not know go to its base.
    """

    name: str
    base: tuple[str, str] | None
    options: dict[str, Any]
    passes_on: bool


def names(package: str) -> list[str]:
    """Keys of all classes of a package: its modules with a class that derives from another module of that package.

    Nothing is imported but the package itself.
    """
    return sorted(name for name, (_, path) in _modules(package).items() if _plugin(package, path) is not None)


def key_of(cls: type) -> str:
    """The key of a class: the name of its module for one of this program, ``package.module:Class`` for any other."""
    if is_ours(cls):
        return cls.__module__.rpartition(".")[2]
    return f"{cls.__module__}:{cls.__qualname__}"


def refuse_unknown(package: str, name: str, kind: str, others: Sequence[str] = ()) -> None:
    """Refuse a key that no module of the package has; keys with a colon name classes from outside and pass, as do ``others``.

    Raises
    ------
    InputError
        The valid keys are listed, and a similar one is suggested.
    """
    known = [*others, *names(package)]
    if ":" not in name and name not in known:
        raise InputError(
            f"{kind} '{name}' is unknown: {suggestion(name, known)}use one of {', '.join(known)}, or package.module:Class"
        )


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean …? `` for a word that resembles a known one, else nothing."""
    return f"did you mean {near[0]}? " if (near := difflib.get_close_matches(word, list(known), 1)) else ""


def find(package: str, name: str, base: type[T], kind: str = "") -> type[T]:
    """The subclass of ``base`` with a key: a module of ``package``, or ``outside.module:Class``.

    Raises
    ------
    InputError
        When there is none; the valid names are listed.
    """
    kind = kind or base.__name__.lower()
    if ":" in name:
        return class_from_outside(name, base)
    module, path = _modules(package).get(name, ("", Path()))
    if not module or _plugin(package, path) is None:
        refuse_unknown(package, name, kind)
    classes = _defined(importlib.import_module(module), base)
    if len(classes) != 1:
        raise InputError(f"module {module} defines {len(classes)} classes of {kind}: expected one")
    return classes[0]


def options(cls: type, base: type) -> dict[str, inspect.Parameter]:
    """Keyword options that ``cls`` and the classes it derives from down to ``base`` take."""
    parameters: dict[str, inspect.Parameter] = {}
    for c in cls.__mro__:
        if "__init__" not in vars(c):
            continue
        own = list(inspect.signature(vars(c)["__init__"]).parameters.values())[1:]
        for p in own:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                parameters.setdefault(p.name, p)
        if c is base or not any(p.kind is p.VAR_KEYWORD for p in own):
            break  # nothing is passed on to the classes above
    return parameters


def refuse_without(cls: type, base: type, needed: Sequence[str], where: str) -> None:
    """Refuse a class that does not take options which it is always given.

    Raises
    ------
    InputError
        It says how to pass them on.
    """
    lacking = [name for name in needed if name not in options(cls, base)]
    if lacking:
        raise InputError(
            f"{where} does not take {', '.join(lacking)}: let its __init__ take **options, and pass them on with "
            "super().__init__(**options)"
        )


def module_file(package: str, name: str) -> Path:
    """The file of a key's module."""
    return _modules(package)[name][1]


def options_in_text(package: str, name: str) -> dict[str, Any]:
    """Options of a class of this program with their defaults, read from source text; :data:`UNKNOWN` for what is no literal."""
    path = module_file(package, name)
    text = _plugin(package, path)
    found: dict[str, Any] = {}
    while text is not None:
        found = {**text.options, **found}
        if not text.passes_on or text.base is None:
            break
        module, cls = text.base
        if module.startswith(f"{package}."):
            path = Path(find_spec(module).origin)  # type: ignore[union-attr, arg-type]  # it is imported, so it is there
        text = next((c for c in _classes(path) if c.name == cls), None)
    return found


def check_options(valid: Mapping[str, Any], given: Mapping[str, Any], where: str, hidden: Sequence[str] = ()) -> None:
    """Refuse options that a class does not have, or of another type than their defaults.

    Parameters
    ----------
    valid
        Defaults by name.
    given
        Values by name.
    where
        What has the options, for messages.
    hidden
        Valid names that are not a user's to set.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    shown = sorted(set(valid) - set(hidden))
    for name, value in given.items():
        if name not in shown:
            raise InputError(f"{where} has no option '{name}': {suggestion(name, shown)}use one of {', '.join(shown)}")
        expected = _expected(value, valid[name])
        if expected:
            raise InputError(f"{where}: {name} is {value!r}: expected {expected}, such as {valid[name]!r}")


def build(cls: type[T], base: type, given: Mapping[str, Any], where: str) -> T:
    """``cls(**given)``, refusing options that it does not have.

    Raises
    ------
    InputError
        For an unknown option (the valid ones are listed) or a value that the class refuses.
    """
    check_options({name: p.default for name, p in options(cls, base).items()}, given, where)
    try:
        with nullcontext() if is_ours(cls) else same_folder():
            return cls(**given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
    except Exception as error:  # whatever code from outside raises
        if is_ours(cls) or isinstance(error, InputError):
            raise
        remedy = "; begin its __init__ with super().__init__(**options)" if "before Module.__init__" in str(error) else ""
        raise InputError(f"{where} cannot be built: {cause_of(error)}{remedy}") from error


def _expected(value: Any, default: Any) -> str:
    """What an option with that default takes, in words; empty where ``value`` is such a thing."""
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
        return "" if listed and not any(_expected(v, default[0]) for v in value) else "a list of such numbers"
    return ""


def _defined(module: ModuleType, base: type[T]) -> list[type[T]]:
    return [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, base) and not inspect.isabstract(c) and c is not base
        and c.__module__ == module.__name__ and not c.__name__.startswith("_")
    ]


def _modules(package: str) -> dict[str, tuple[str, Path]]:
    """Public modules of a package and its rooms by their last name: their whole names, and their files."""
    root = importlib.import_module(package)
    packages = [root, *(importlib.import_module(f"{package}.{room}") for room in getattr(root, "ROOMS", ()))]
    folders = [(p.__name__, path) for p in packages for path in p.__path__ if Path(path).is_dir()]
    return _listed(*((*folder, Path(folder[1]).stat().st_mtime_ns) for folder in folders))


@lru_cache(maxsize=64)
def _listed(*folders: tuple[str, str, int]) -> dict[str, tuple[str, Path]]:
    """Public modules in the folders of packages as they are now; every cell of a plan asks for them."""
    found = [(package, path, m.name) for package, path, _ in folders for m in pkgutil.iter_modules([path]) if not m.ispkg]
    return {n: (f"{package}.{n}", Path(path) / f"{n}.py") for package, path, n in found if not n.startswith("_")}


def _plugin(package: str, path: Path) -> ClassText | None:
    """The public class of a module that derives from one of this package, or of the package around it; else ``None``."""
    around = package.rpartition(".")[0]
    for text in _classes(path):
        module = text.base[0] if text.base is not None and not text.name.startswith("_") else ""
        if module.startswith(f"{package}.") or ("." in around and module.rpartition(".")[0] == around):
            return text
    return None


def _classes(path: Path) -> tuple[ClassText, ...]:
    stat = path.stat()
    return _parsed(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _parsed(path: Path, size: int, changed: int) -> tuple[ClassText, ...]:
    """The classes of a Python file, as its text has them; read anew when it has changed."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:
        return ()  # whoever imports it is told
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return tuple(_class_text(node, imported) for node in tree.body if isinstance(node, ast.ClassDef))


def _class_text(node: ast.ClassDef, imported: dict[str, tuple[str, str]]) -> ClassText:
    bases = [imported.get(b.id, ("", b.id)) for b in node.bases if isinstance(b, ast.Name)]
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    if init is None:
        return ClassText(node.name, bases[0] if bases else None, {}, True)
    positional = [*init.args.posonlyargs, *init.args.args][1:]
    missing = len(positional) - len(init.args.defaults)
    defaults: list[ast.expr | None] = [*[None] * max(missing, 0), *init.args.defaults[max(-missing, 0) :]]
    pairs = [*zip(positional, defaults, strict=True), *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    own = {argument.arg: _literal(default) for argument, default in pairs}
    return ClassText(node.name, bases[0] if bases else None, own, init.args.kwarg is not None)


def _literal(node: ast.expr | None) -> Any:
    try:
        return UNKNOWN if node is None else ast.literal_eval(node)
    except ValueError:
        return UNKNOWN
