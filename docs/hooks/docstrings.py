"""Docstrings rewritten for the reference before they are read.

References such as ``:class:`~package.module.Name` `` become links, or code where there is no page. Several parameters may
share one description (``low, high``): each gets it, since griffe would give all of them the first one's default.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|data|mod):`(~?)([\w.]+)`")
SHARED = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.*(?:\n|\Z))+)", re.M)


class Docstrings(griffe.Extension):
    """Rewrites the docstrings of a package once all of it has been read."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """See griffe."""
        _rewrite(pkg, pkg)


def _rewrite(documented: griffe.Object, package: griffe.Module) -> None:
    if documented.docstring is not None:
        text = SHARED.sub(_each, documented.docstring.value)
        documented.docstring.value = ROLE.sub(lambda role: _link(role, documented, package), text)
    for member in documented.members.values():
        if not member.is_alias:
            _rewrite(member, package)


def _each(shared: re.Match[str]) -> str:
    names, text = shared.groups()
    return "\n".join(f"{name}\n{text.rstrip()}" for name in names.split(", ")) + "\n"


def _link(role: re.Match[str], inside: griffe.Object, package: griffe.Module) -> str:
    short, name = role.groups()
    path = name if name.startswith(f"{package.name}.") else _resolved(name, inside)
    shown = name.rpartition(".")[2] if short else name
    if path is None or not _has_entry(path, package):
        return f"`{shown}`"
    return f"[`{shown}`][{path}]"


def _resolved(name: str, inside: griffe.Object) -> str | None:
    """Full path of a name in a docstring: of the class, of the module, or imported there; ``None`` where it is unknown."""
    first, _, rest = name.partition(".")
    try:
        path = inside.resolve(first)
    except griffe.NameResolutionError:
        return None
    return f"{path}.{rest}" if rest else path


def _has_entry(path: str, package: griffe.Module) -> bool:
    try:
        target = package[path.removeprefix(f"{package.name}.")]
    except KeyError:
        return False
    return target.is_module or (not target.is_alias and target.docstring is not None)
