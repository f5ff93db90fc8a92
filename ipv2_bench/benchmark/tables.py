"""Table specifications: which image sets a table compares, against which label, beside which published numbers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.config import Config, read_yaml
from ipv2_bench.errors import InputError
from ipv2_bench.files import read_csv
from ipv2_bench.installed import experiments, published
from ipv2_bench.purification.strategy import Strategy
from ipv2_bench.registry import suggestion

LABELS = ("NDCT", "IPv2(NDCT)")
NDCT = LABELS[0]

UNTOUCHED, FILTERS = "identity", ("gaussian", "total_variation", "nl_means")
"""Keys of the denoiser that changes nothing, and of the classical filters: the floor of the tables."""

KEYS = ("title", "images", "published", "rows")

PublishedKey = tuple[str, str | None, str]
"""Label, title of the denoiser (``None`` for a label's own row), and name of the strategy."""


@dataclass(frozen=True)
class TableLine:
    """What one line of a table measures.

    Attributes
    ----------
    label
        Image set that the distances are taken to, one of :data:`LABELS`.
    denoiser
        Its key; ``None`` for a line that measures label images themselves.
    strategy
        Of the training pairs, or of the label images.
    """

    label: str
    denoiser: str | None
    strategy: Strategy

    @property
    def needs_weak_denoiser(self) -> bool:
        """Whether module 3 takes part in what is measured."""
        return self.label != NDCT or (self.denoiser is None and self.strategy.remove_noise)

    @property
    def is_bound(self) -> bool:
        """Whether it is part of floor or ceiling: the untouched uLDCT, a filter, or an oracle."""
        return self.denoiser in (UNTOUCHED, *FILTERS) or self.strategy.needs_truth

    @property
    def name(self) -> str:
        """The line in words."""
        return f"{self.denoiser} + {self.strategy.name}" if self.denoiser else f"{self.strategy.name}(NDCT)"


@dataclass(frozen=True)
class Table:
    """A table: its lines, and published values.

    Attributes
    ----------
    key
        Its file's name without the ending: the name of what is written.
    title
        Its heading.
    of_labels
        Whether its lines are label images, and not denoised ones.
    lines
        In their order.
    published
        Column → value for each published line.
    newcomers
        Denoisers that are compared with the others, where that is the purpose of the table.
    """

    key: str
    title: str
    of_labels: bool
    lines: tuple[TableLine, ...]
    published: dict[PublishedKey, dict[str, float]]
    newcomers: tuple[str, ...] = ()


def load_tables(config: Config, numbers: list[int] | None = None) -> list[Table]:
    """The configuration's tables, or only those with some numbers; a table without a digit in its name has the number 0.

    Raises
    ------
    InputError
        For an unknown table, key, label, denoiser or strategy, and a number that several tables have.
    """
    tables = [load_table(_find(config, name)) for name in config.tables]
    if not numbers:
        return tables
    by_number: dict[int, list[tuple[str, Table]]] = defaultdict(list)
    for name, table in zip(config.tables, tables, strict=True):
        by_number[int("".join(c for c in table.key if c.isdecimal()) or 0)].append((name, table))
    for n in numbers:
        if n not in by_number:
            raise InputError(f"table {n} is unknown: use one of {', '.join(map(str, sorted(by_number)))}")
        if len(by_number[n]) > 1:
            same = [name for name, _ in by_number[n]]
            raise InputError(f"table {n} is ambiguous: {' and '.join(same)} have this number; name one, tables=[{same[0]}]")
    return [by_number[n][0][1] for n in numbers]


def _find(config: Config, name: str) -> Path:
    """A table's file: beside the configuration, at a path, or of the program."""
    places = [config.folder / name, Path(name), experiments() / name]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        known = sorted({p.name for folder in (config.folder, experiments()) for p in folder.glob("table*.yaml")})
        raise InputError(f"the table {name} does not exist: {suggestion(name, known)}there are {', '.join(known)}")
    return path


def load_table(path: Path) -> Table:
    """The table of a file.

    Raises
    ------
    InputError
        For an unknown key, label or strategy, or rows that are no rows.
    """
    tree = read_yaml(path)
    for key in tree:
        if key not in KEYS:
            raise InputError(f"{path.name}: '{key}' is unknown: {suggestion(str(key), KEYS)}use one of {', '.join(KEYS)}")
    images = tree.get("images", "denoised")
    if images not in ("denoised", "label"):
        raise InputError(f"{path.name}: images is '{images}': use denoised or label")
    given = tree.get("rows") or []
    if not isinstance(given, list) or not all(isinstance(r, dict) for r in given):
        raise InputError(f"{path.name}: rows is no list of rows: write them as - {{denoiser: fm, strategy: IPv2}}")
    lines = tuple(_line(path.name, r, images == "label") for r in given)
    if not lines:
        raise InputError(f"{path.name} has no rows: list them as - {{denoiser: fm, strategy: IPv2}}")
    values = _published(path, str(tree["published"])) if tree.get("published") else {}
    return Table(path.stem, str(tree.get("title", path.stem)), images == "label", lines, values)


def _line(where: str, given: dict[str, Any], of_labels: bool) -> TableLine:
    given = dict(given)
    label, denoiser, name = given.pop("label", NDCT), given.pop("denoiser", None), given.pop("strategy", None)
    if not all(isinstance(x, str) for x in (label, denoiser or "", name or "")):
        raise InputError(
            f"{where}: label, denoiser and strategy must be words, such as {{denoiser: fm, strategy: IPv2}}"
        )
    if label not in LABELS:
        raise InputError(f"{where}: label '{label}' is unknown: use one of {', '.join(LABELS)}")
    if name is None or (not of_labels and not denoiser):
        raise InputError(f"{where}: row {given} needs a strategy" + ("" if of_labels else " and a denoiser"))
    strategy = Strategy.from_name(name, **given)
    if of_labels and not strategy.has_label:
        raise InputError(f"{where}: strategy {name} has no purified label: use a point of the lattice")
    return TableLine(label, None if of_labels else denoiser, strategy)


def _published(table: Path, name: str) -> dict[PublishedKey, dict[str, float]]:
    """Values of a CSV file: columns label, denoiser, strategy (or image_set), and one for each measure."""
    places = [table.parent / name, published() / Path(name).name]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise InputError(f"the published numbers {name} do not exist: expected them beside {table.name}")
    names = ("label", "denoiser", "strategy", "image_set", "modules")
    try:
        return {
            (r["label"], r.get("denoiser") or None, r.get("strategy") or r["image_set"].removesuffix("(NDCT)")): {
                column: float(value)
                for column, value in r.items()
                if value and column not in names and not column.endswith("_gain_pct")
            }
            for r in read_csv(path)
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name} is no table of published numbers ({error}): expected the columns label, denoiser, strategy, and "
            "one for each measure"
        ) from error
