"""Whether nodules are still found, from the CSV files that ``ipv2-bench detect`` writes beside the tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ipv2_bench.files import read_csv

FILES = {"ground_glass": "detection.csv", "solid": "detection_solid.csv"}
"""Kinds of nodules, and the files that hold how well they are found."""

OBSERVERS = {"LG-CHO": "channelised Hotelling observer", "NPW": "matched filter"}
"""Observers as columns name them, and as readers do: with Laguerre–Gauss channels, and without prewhitening."""


@dataclass(frozen=True)
class Found:
    """How well nodules of a size are found: d′, AUC and its interval; the last is empty where draws show no spread."""

    d_prime: str
    auc: str
    interval: str


@dataclass(frozen=True)
class DetectionRow:
    """A set of images, and how well nodules are found in it; ``None`` where too few could be put in."""

    name: str
    found: tuple[Found | None, ...]


@dataclass(frozen=True)
class DetectionTable:
    """One kind of nodules and one observer."""

    key: str
    kind: str
    observer: str
    sizes: tuple[str, ...]
    rows: tuple[DetectionRow, ...]


@dataclass(frozen=True)
class DetectionSection:
    """The section: a table for each kind of nodules and each observer."""

    tables: tuple[DetectionTable, ...]


def detection_section(folder: Path, image_sets: Collection[str]) -> DetectionSection | None:
    """The section, from the files of a folder; ``None`` without any of these results.

    Parameters
    ----------
    folder
        Of the tables.
    image_sets
        Identities of the images that the tables measure. Lines of other images are left out, and a file without any of these.
    """
    tables: list[DetectionTable] = []
    for kind, name in FILES.items():
        lines = [line for line in read_csv(folder / name) if not line.get("cell") or line["cell"] in image_sets]
        if any(line.get("cell") for line in lines):
            tables += [_table(lines, kind.replace("_", "-"), observer) for observer in OBSERVERS]
    return DetectionSection(tuple(tables)) if tables else None


def _table(lines: list[dict[str, str]], kind: str, observer: str) -> DetectionTable:
    several = len({line["seed"] for line in lines if line["seed"]}) > 1
    columns = [key for key in lines[0] if key.startswith(f"{observer} ") and key.endswith(" AUC")]
    sizes = tuple(key.removeprefix(f"{observer} ").removesuffix(" AUC") for key in columns)
    rows = [
        DetectionRow(
            line["images"] + (f", seed {line['seed']}" if several and line["seed"] else ""),
            tuple(_found(line, f"{observer} {size}") for size in sizes),
        )
        for line in lines
    ]
    return DetectionTable(f"detection-{kind}-{observer.lower()}", kind, OBSERVERS[observer], sizes, tuple(rows))


def _found(line: dict[str, str], key: str) -> Found | None:
    if not line[f"{key} AUC"]:
        return None
    d_prime, auc, low, high = (line.get(f"{key} {what}") for what in ("d'", "AUC", "AUC low", "AUC high"))
    between = f"{float(low):.2f} to {float(high):.2f}" if low and high else ""
    return Found(f"{float(d_prime or 'nan'):.1f}", f"{float(auc or 'nan'):.2f}", between)
