"""Table specifications: which image sets stand in a table, against which label, beside which published numbers."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.config import Config, read_yaml
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy

LABELS = ("NDCT", "IPv2(NDCT)")
PUBLISHED_METRICS = ("fid", "kid_x100", "clip_fid_x100")


@dataclass(frozen=True)
class TableRow:
    """One line of a table.

    Attributes
    ----------
    label
        Image set that the distances are taken to, one of :data:`LABELS`.
    denoiser
        Registry key; empty for a line on label images themselves.
    strategy
        Of the training pairs, or of the label images.
    """

    label: str
    denoiser: str
    strategy: Strategy


@dataclass(frozen=True)
class Table:
    """A table of the paper: its rows, and published values by (label, denoiser title, strategy name).

    ``newcomers``: registry keys of denoisers that are put beside the others, where that is what the table is for.
    """

    key: str
    title: str
    images: str
    rows: tuple[TableRow, ...]
    published: dict[tuple[str, str, str], dict[str, float]]
    newcomers: tuple[str, ...] = ()


def load_tables(config: Config, only: list[int] | None = None) -> list[Table]:
    """The configuration's tables, perhaps only some numbers of them.

    Raises
    ------
    InputError
        For an unknown table, key, label, denoiser or strategy.
    """
    tables = [_load(config.folder / name) for name in config.tables]
    if only:
        by_number = {int("".join(c for c in t.key if c.isdigit()) or 0): t for t in tables}
        missing = [n for n in only if n not in by_number]
        if missing:
            raise InputError(f"table {missing[0]} is unknown: use one of {', '.join(map(str, sorted(by_number)))}")
        tables = [by_number[n] for n in only]
    return tables


def _load(path: Path) -> Table:
    tree = read_yaml(path)
    valid = ("title", "images", "published", "rows")
    for key in tree:
        if key not in valid:
            raise InputError(f"{path.name}: '{key}' is unknown: use one of {', '.join(valid)}")
    images = tree.get("images", "denoised")
    if images not in ("denoised", "label"):
        raise InputError(f"{path.name}: images is '{images}': use denoised or label")
    given = tree.get("rows") or []
    if not isinstance(given, list) or not all(isinstance(r, dict) for r in given):
        raise InputError(f"{path.name}: rows is no list of rows: write them as - {{denoiser: fm, strategy: IPv2}}")
    rows = tuple(_row(path.name, r, images) for r in given)
    if not rows:
        raise InputError(f"{path.name} has no rows: list them as - {{denoiser: fm, strategy: IPv2}}")
    published = _published(path.parent / tree["published"]) if tree.get("published") else {}
    return Table(path.stem, str(tree.get("title", path.stem)), images, rows, published)


def _row(where: str, given: dict[str, Any], images: str) -> TableRow:
    given = dict(given)
    label, denoiser, name = given.pop("label", "NDCT"), given.pop("denoiser", ""), given.pop("strategy", None)
    if not all(isinstance(x, str) for x in (label, denoiser, name or "")):
        raise InputError(
            f"{where}: label, denoiser and strategy must be words, such as {{denoiser: fm, strategy: IPv2}}"
        )
    if images == "label" and name in ("raw", "simulated"):
        raise InputError(f"{where}: strategy {name} has no purified label: use a point of the lattice")
    if label not in LABELS:
        raise InputError(f"{where}: label '{label}' is unknown: use one of {', '.join(LABELS)}")
    if name is None or (images == "denoised" and not denoiser):
        raise InputError(f"{where}: row {given} needs a strategy" + (" and a denoiser" if images == "denoised" else ""))
    return TableRow(label, denoiser, Strategy.from_name(name, **given))


def _published(path: Path) -> dict[tuple[str, str, str], dict[str, float]]:
    if not path.is_file():
        raise InputError(f"the published numbers {path.name} are not there: expected them in leaderboards/published")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    try:
        return {
            (r["label"], r.get("denoiser") or "", r.get("strategy") or r["image_set"].removesuffix("(NDCT)")): {
                m: float(r[m]) for m in PUBLISHED_METRICS
            }
            for r in lines
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name} is no table of published numbers ({error}): expected the columns label, denoiser, strategy and "
            f"{', '.join(PUBLISHED_METRICS)}"
        ) from error
