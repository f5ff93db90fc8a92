"""Names of results: a hash of the values that determine them, and versions of the code that shapes them.

Source text is no identity: moving, renaming, documenting or rewriting code to an equal form changes nothing. What shapes
numbers carries a small ``version`` that is raised when its numbers change; golden tests say when that is due. Only a class
from outside of this package that declares no version is known by its source, since no golden test guards it.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def settings_of(value: Any) -> Any:
    """Settings of a dataclass instance by name, those at their defaults left out, so that a new option changes no identity."""
    if not is_dataclass(value):
        return value
    settings = {}
    for f in fields(value):
        own = getattr(value, f.name)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if own != default:
            settings[f.name] = settings_of(own)
    return settings


def is_ours(cls: type) -> bool:
    """Whether a class belongs to this package."""
    return cls.__module__.split(".")[0] == __name__.split(".")[0]


def version_of(cls: type) -> int | str:
    """The version that names a class's results.

    Returns
    -------
    int or str
        ``cls.version`` for a class of this package, or for one from outside that declares ``version`` itself; otherwise
        16 hex digits over the Python source that defines the class, blind to comments, docstrings and layout.
    """
    if is_ours(cls) or "version" in vars(cls):
        return int(cls.version)  # type: ignore[attr-defined]
    files: set[Path] = set()
    for c in cls.__mro__:
        if c.__module__ != "builtins" and not is_ours(c) and not _is_library(c):
            files |= _source_files(c)
    content = hashlib.sha256()
    for path in sorted(files, key=lambda p: (p.parent.name, p.name)):
        stat = path.stat()
        content.update(f"{path.parent.name}/{path.name}".encode() + _meaning(path, stat.st_size, stat.st_mtime_ns))
    return content.hexdigest()[:16]


def _is_library(cls: type) -> bool:
    return cls.__module__.split(".")[0] in ("lightning", "torch", "abc", "lightning_fabric", "pytorch_lightning", "typing")


def _source_files(cls: type) -> set[Path]:
    """The class's own file; of a package, all of its files, since they may take part."""
    file = inspect.getsourcefile(cls)
    if file is None:
        return set()
    path = Path(file)
    in_package = (path.parent / "__init__.py").exists()
    return set(path.parent.rglob("*.py")) if in_package else {path}


@lru_cache(maxsize=512)
def _meaning(path: Path, size: int, changed: int) -> bytes:
    """A Python file without comments, docstrings and layout; read anew when it has changed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body.pop(0)
    return ast.dump(tree).encode()


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
