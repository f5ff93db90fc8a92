"""Hashes of code and values, by which results are kept and found again."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def code(*parts: str) -> str:
    """16 hex digits over Python files of the package, blind to comments, docstrings and layout.

    ``parts`` are files (``"data/pair.py"``) or folders (``"physics"``), relative to the package.
    """
    files: set[Path] = set()
    for part in parts:
        path = PACKAGE / part
        files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return of_files(files)


def of_files(files: Iterable[Path]) -> str:
    """Like :func:`code`, for any Python files; their place is told apart by name only."""
    found = hashlib.sha256()
    for path in sorted(set(files), key=lambda p: (p.parent.name, p.name, str(p))):
        found.update(f"{path.parent.name}/{path.name}".encode())
        stat = path.stat()
        found.update(_meaning(path, stat.st_size, stat.st_mtime_ns))
    return found.hexdigest()[:16]


@lru_cache(maxsize=512)
def _meaning(path: Path, size: int, changed: int) -> bytes:
    """What a Python file says, without comments, docstrings and layout; read anew when it has changed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body.pop(0)
    return ast.dump(tree).encode()


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
