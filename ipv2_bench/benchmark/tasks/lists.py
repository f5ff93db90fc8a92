"""Everything that can be named, in words: denoisers, strategies, measures, sources and configurations."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ipv2_bench import registry
from ipv2_bench.benchmark.cells.denoisers import HIDDEN, PACKAGE
from ipv2_bench.benchmark.config import read_yaml
from ipv2_bench.benchmark.prepared import SOURCES
from ipv2_bench.installed import configurations, experiments
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.purification.strategy import Strategy, names

WIDTH = 100
"""Columns of a terminal that lists must fit into."""


def denoisers() -> str:
    """Every denoiser with its options and their defaults."""
    return _with_options(PACKAGE, HIDDEN)


def sources() -> str:
    """Every data source with its options and their defaults."""
    return _with_options(SOURCES)


def strategies() -> str:
    """Every strategy, and what it makes of a pair."""
    return aligned([(name, Strategy.from_name(name).summary) for name in names()])


def measures() -> str:
    """Every column of the tables: name, group, unit, best value, meaning."""
    rows = [("measure", "group", "unit", "best", "what it is")]
    for c in catalogue().columns.values():
        best = c.ideal if isinstance(c.ideal, str) else f"{c.ideal:g}"
        rows.append((c.name, c.group, c.unit or "–", best, c.explanation))
    return aligned(rows)


def configs() -> str:
    """Every configuration with its title."""
    rows = []
    for name in configurations():
        tree = read_yaml(experiments() / f"{name}.yaml")
        rows.append((name, str(tree.get("title", ""))))
    return aligned(rows)


def _with_options(package: str, hidden: Sequence[str] = ()) -> str:
    lines = []
    for name in registry.names(package):
        lines += textwrap.wrap(f"{name}: {_summary(package, name)}", WIDTH, subsequent_indent="  ")
        options = {k: v for k, v in registry.options_in_text(package, name).items() if k not in hidden}
        lines += _wrapped("    ", [f"{k}={_value(v)}" for k, v in options.items()])
    return "\n".join(lines)


def _value(value: Any) -> str:
    if value is registry.UNKNOWN:
        return "…"
    return str(value).lower() if isinstance(value, bool) else str(list(value) if isinstance(value, tuple) else value)


def _summary(package: str, name: str) -> str:
    """The first line of a module's docstring, without importing it."""
    tree = ast.parse(Path(registry.module_file(package, name)).read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _wrapped(indent: str, words: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= WIDTH:
            lines[-1] += f", {word}"
        else:
            lines.append(indent + word)
    return lines


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words in aligned columns; the last column wraps at :data:`WIDTH`."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        head = "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False)) + "  "
        wrapped = textwrap.wrap(row[-1], max(WIDTH - len(head), 24)) or [""]
        lines.append((head + wrapped[0]).rstrip())
        lines += [" " * len(head) + part for part in wrapped[1:]]
    return "\n".join(lines)
