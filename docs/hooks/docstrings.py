"""What the reference makes of docstrings before it reads them.

Things are named as ``:class:`~package.module.Name` ``: these become links, or code where there is no page. Several
parameters may share one text (``low, high``): each gets it, since griffe would give all of them the first one's default.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|data|mod):`(~?)([\w.]+)`")
SHARED = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.*(?:\n|\Z))+)", re.M)


class Docstrings(griffe.Extension):
    """Rewrites the docstrings of a package once all of it is read."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """See griffe."""
        _rewrite(pkg, pkg)


def _rewrite(found: griffe.Object, package: griffe.Module) -> None:
    if found.docstring is not None:
        text = SHARED.sub(_each, found.docstring.value)
        found.docstring.value = ROLE.sub(lambda role: _link(role, found, package), text)
    for member in found.members.values():
        if not member.is_alias:
            _rewrite(member, package)


def _each(shared: re.Match[str]) -> str:
    names, text = shared.groups()
    return "\n".join(f"{name}\n{text.rstrip()}" for name in names.split(", ")) + "\n"


def _link(role: re.Match[str], found: griffe.Object, package: griffe.Module) -> str:
    short, name = role.groups()
    path = name if name.startswith(f"{package.name}.") else _resolved(name, found)
    shown = name.rpartition(".")[2] if short else name
    if path is None or not _has_entry(path, package):
        return f"`{shown}`"
    return f"[`{shown}`][{path}]"


def _resolved(name: str, found: griffe.Object) -> str | None:
    """Full path of a name as it is meant where a docstring stands: in the class, in the module, or imported there."""
    first, _, rest = name.partition(".")
    try:
        path = found.resolve(first)
    except griffe.NameResolutionError:
        return None
    return f"{path}.{rest}" if rest else path


def _has_entry(path: str, package: griffe.Module) -> bool:
    try:
        target = package[path.removeprefix(f"{package.name}.")]
    except KeyError:
        return False
    return target.is_module or (not target.is_alias and target.docstring is not None)
