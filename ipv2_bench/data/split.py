"""Which slices train, validate and test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import SliceSet, write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.seeding import numpy_generator

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Indices into a slice set, ascending, int64; the parts do not overlap and cover everything."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split_slices(slices: SliceSet, by: str, fractions: tuple[float, float, float], seed: int) -> Split:
    """Split by ``patient`` (no patient on two sides), by ``slice`` (as the paper does), or as it has been decided.

    Parameters
    ----------
    slices
        What to split.
    by
        ``"patient"``, ``"slice"``, ``"folder"`` for the parts that the source tells, or a file of :func:`write_split`.
    fractions
        Train, validation and test, adding up to 1. A part whose fraction is not 0 gets at least one unit.
    seed
        Of the random order of the units.

    Raises
    ------
    InputError
        For an unknown ``by``, fractions that do not add up, fewer patients than parts, or a file that does not fit.
    """
    if by.endswith(".json"):
        return _read(slices, Path(by))
    if by == "folder":
        return _told(slices)
    if by not in ("patient", "slice"):
        raise InputError(f"split '{by}' is unknown: use patient, slice, folder or a file *.json of ipv2-bench split")
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6 or fractions[0] == 0 or fractions[2] == 0:
        raise InputError(f"split fractions {fractions} must be ≥ 0, add up to 1, and leave something to train and test")
    if by == "patient" and not all(slices.patient):
        raise InputError(
            "the data do not tell patients apart, so they cannot be split by patient: set data.split=slice"
        )
    units = sorted(set(slices.patient)) if by == "patient" else list(range(len(slices)))
    wanted = sum(f > 0 for f in fractions)
    if len(units) < wanted:
        parts = ", ".join(p for p, f in zip(PARTS, fractions, strict=True) if f > 0)
        noun = by if len(units) == 1 else f"{by}s"
        raise InputError(
            f"the data set has {len(units)} {noun}: a split by {by} into {parts} needs at least {wanted}; "
            "add patients or set data.split=slice"
        )
    order = numpy_generator(seed, "split").permutation(len(units))
    counts = _apportion(len(units), fractions)
    place = {units[j]: part for part, js in enumerate(np.split(order, np.cumsum(counts)[:-1])) for j in js}
    part_of = np.array([place[p if by == "patient" else i] for i, p in enumerate(slices.patient)])
    return Split(*(np.flatnonzero(part_of == part) for part in range(3)))


def keeps_patients_apart(by: str) -> bool:
    """Whether a value of ``data.split`` promises that no patient, hence no neighbouring slice, is on two sides."""
    if by.endswith(".json") and Path(by).is_file():
        return _content(Path(by)).get("by") == "patient"
    return by == "patient"


def rule_of(by: str) -> str:
    """What tells a value of ``data.split`` from others without naming a place: the rule, or a hash of the file's content."""
    return f"file {digest(_content(Path(by)))}" if by.endswith(".json") else by


def write_split(slices: SliceSet, split: Split, by: str, path: Path) -> None:
    """Write a split as JSON: names of the slices in each part, which hold at any size and tell no identity.

    Parameters
    ----------
    slices, split
        What was split, and how.
    by
        The rule that it followed, ``"patient"`` or ``"slice"``, or a file of this function, whose rule is meant.
    path
        ``*.json``, to be given as ``data.split``.
    """
    by = _content(Path(by)).get("by", "") if by.endswith(".json") else by
    parts = {part: [slices.key[i] for i in getattr(split, part)] for part in PARTS}
    text = json.dumps({"by": by, **parts}, indent=1) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def _content(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"the split {path} is not there: write it with ipv2-bench split --write {path.name}") from None
    except ValueError as error:
        raise InputError(f"the split {path.name} is no JSON ({error}): write it anew with ipv2-bench split") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(part), list) for part in PARTS):
        raise InputError(f"the split {path.name} does not list train, val and test: write it with ipv2-bench split")
    return found


def _read(slices: SliceSet, path: Path) -> Split:
    """The split of a file, which must name every slice once and none that is not here."""
    content = _content(path)
    place = {key: i for i, key in enumerate(slices.key)}
    named = [key for part in PARTS for key in content[part]]
    twice = len(named) - len(set(named))
    unknown = [key for key in named if key not in place]
    missing = set(place) - set(named)
    if twice or unknown or missing:
        raise InputError(
            f"the split {path.name} does not fit the data: of its {len(named)} slices {len(unknown)} are not here and {twice} "
            f"stand twice, and {len(missing)} slices of the data are in no part; use the data it was made for, or write another"
        )
    return Split(*(np.array(sorted(place[key] for key in content[part]), dtype=np.int64) for part in PARTS))


def _told(slices: SliceSet) -> Split:
    """The split that the source itself tells."""
    lacking = len(slices) - sum(part in PARTS for part in slices.part)
    if lacking:
        raise InputError(
            f"{lacking} of {len(slices)} slices lie in no folder train, val or test: set data.split=slice or patient"
        )
    told = np.array(slices.part)
    return Split(*(np.flatnonzero(told == part) for part in PARTS))


def _apportion(n: int, fractions: tuple[float, float, float]) -> list[int]:
    """Whole numbers that add up to n, by largest remainder, at least one where the fraction is not 0."""
    exact = [n * f for f in fractions]
    counts = [max(int(e + 1e-9), int(f > 0)) for e, f in zip(exact, fractions, strict=True)]
    while sum(counts) < n:
        # On a tie the last part gains, as in the paper: 4310 at 7:1.5:1.5 are 3017, 646 and 647.
        lacking = [e - c if f > 0 else -np.inf for e, c, f in zip(exact, counts, fractions, strict=True)]
        counts[max(i for i, x in enumerate(lacking) if x >= max(lacking) - 1e-9)] += 1
    while sum(counts) > n:
        counts[int(np.argmax(counts))] -= 1
    return counts
