"""Splits of a slice set into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.files import read_json, write_json
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.seeding import numpy_generator
from ipv2_bench.registry import suggestion

PARTS = ("train", "val", "test")
RULES = ("patient", "slice", "folder")


@dataclass(frozen=True)
class Split:
    """Indices into a slice set, ascending, int64; the three parts do not overlap."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split_slices(slices: SliceSet, by: str, fractions: tuple[float, float, float], seed: int) -> Split:
    """A split by patient (no patient on two sides), by slice (as the paper does), by folder, or read from a file.

    Parameters
    ----------
    slices
        The slice set.
    by
        ``"patient"``, ``"slice"``, ``"folder"`` for the parts that the source decides, or a file of :func:`write_split`.
    fractions
        Shares of training, validation and test, adding up to 1. A part whose share is not 0 gets at least one unit (patient
        or slice).
    seed
        Seed of the random order of the units.

    Raises
    ------
    InputError
        For an unknown ``by``, fractions that do not add up, fewer patients than parts, or a file that does not fit.
    """
    check_rule(by)
    if by.endswith(".json"):
        return _read_split(slices, Path(by))
    if by == "folder":
        return _split_by_folder(slices)
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6 or fractions[0] == 0 or fractions[2] == 0:
        raise InputError(f"split fractions {fractions} must be ≥ 0, add up to 1, and leave something to train and test")
    if by == "patient" and not all(slices.patient):
        raise InputError(
            "the data do not tell patients apart, so they cannot be split by patient: set data.split=slice"
        )
    units = sorted(set(slices.patient)) if by == "patient" else list(range(len(slices)))
    needed = sum(f > 0 for f in fractions)
    if len(units) < needed:
        parts = ", ".join(p for p, f in zip(PARTS, fractions, strict=True) if f > 0)
        noun = by if len(units) == 1 else f"{by}s"
        raise InputError(
            f"the data set has {len(units)} {noun}: a split by {by} into {parts} needs at least {needed}; "
            "add patients or set data.split=slice"
        )
    order = numpy_generator(seed, "split").permutation(len(units))
    counts = _apportion(len(units), fractions)
    part_of = {units[j]: part for part, js in enumerate(np.split(order, np.cumsum(counts)[:-1])) for j in js}
    parts_of_slices = np.array([part_of[p if by == "patient" else i] for i, p in enumerate(slices.patient)])
    return Split(*(np.flatnonzero(parts_of_slices == part) for part in range(3)))


def deal_out(slices: SliceSet, folds: int, val: float, seed: int) -> tuple[Split, ...]:
    """Splits by patient in which every patient is tested exactly once.

    Parameters
    ----------
    slices
        The slice set.
    folds
        K: the patients are dealt out to K test sets, which differ by one patient at most.
    val
        Share of each fold's other patients that validate, at least one where it is not 0.
    seed
        Seed of the random order of the patients.

    Raises
    ------
    InputError
        When patients are not known, or there are fewer than ``folds``, or none would be left to train on, or ``val`` is no share.
    """
    if not 0 <= val < 1:
        raise InputError(f"the share to validate is {val}: expected at least 0 and less than 1 (data.fractions)")
    if not all(slices.patient):
        raise InputError("the data do not tell patients apart, so they cannot be dealt out: leave out data.folds")
    patients = sorted(set(slices.patient))
    if len(patients) < folds:
        raise InputError(f"data.folds is {folds} and the data set has {len(patients)} patients: expected at most as many folds")
    dealt = [patients[j] for j in numpy_generator(seed, "split").permutation(len(patients))]
    splits = []
    for k in range(folds):
        others = [p for j, p in enumerate(dealt) if j % folds != k]
        validating = max(round(len(others) * val), int(val > 0))
        if validating >= len(others):
            raise InputError(f"fold {k} of {folds} has no patient left to train on: use more folds, or validate on fewer")
        part = dict.fromkeys(dealt[k::folds], "test") | dict.fromkeys(others[:validating], "val")
        parts = np.array([part.get(p, "train") for p in slices.patient])
        splits.append(Split(*(np.flatnonzero(parts == name) for name in PARTS)))
    return tuple(splits)


def evenly_spaced(patient: Sequence[str], most: int) -> list[int]:
    """Places of at most ``most`` slices of each patient, evenly spaced in their order, given the patient of every slice."""
    places: dict[str, list[int]] = {}
    for i, name in enumerate(patient):
        places.setdefault(name, []).append(i)
    each = [np.asarray(own)[np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int)] for own in places.values()]
    return sorted(int(i) for i in np.concatenate(each)) if each else []


def check_rule(by: str) -> None:
    """Refuse a value of ``data.split`` that is neither a rule nor a file's name.

    Raises
    ------
    InputError
        A similar rule is suggested.
    """
    if by not in RULES and not by.endswith(".json"):
        raise InputError(
            f"split '{by}' is unknown: {suggestion(by, RULES)}use {', '.join(RULES)} or a file *.json of ipv2-bench split"
        )


def keeps_patients_apart(by: str) -> bool:
    """Whether a value of ``data.split`` promises that no patient, hence no neighbouring slice, is on two sides."""
    if by.endswith(".json") and Path(by).is_file():
        return _read_parts(Path(by)).get("by") == "patient"
    return by == "patient"


def rule_of(by: str) -> str:
    """Name of a value of ``data.split`` without a path: the rule, or a hash of the file's content."""
    return f"file {digest(_read_parts(Path(by)))}" if by.endswith(".json") else by


def write_split(slices: SliceSet, split: Split, by: str, path: Path) -> None:
    """Write a split as JSON: names of the slices in each part, which are the same at any size and reveal no identity.

    Parameters
    ----------
    slices, split
        The slice set and its split.
    by
        The rule of the split, ``"patient"`` or ``"slice"``, or a file of this function, whose rule is taken over.
    path
        ``*.json``, to be given as ``data.split``.
    """
    by = _read_parts(Path(by)).get("by", "") if by.endswith(".json") else by
    parts = {part: [slices.key[i] for i in getattr(split, part)] for part in PARTS}
    write_json(path, {"by": by, **parts})


def _read_parts(path: Path) -> dict:
    """The content of a split's file: its rule, and the names of the slices in each part."""
    if not path.is_file():
        raise InputError(f"the split {path} does not exist or cannot be read: write it with ipv2-bench split --write {path.name}")
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in PARTS):
        raise InputError(f"the split {path.name} does not list train, val and test: write it with ipv2-bench split")
    return content


def _read_split(slices: SliceSet, path: Path) -> Split:
    """The split of a file, which must name every slice of the set once and no other slice."""
    content = _read_parts(path)
    index = {key: i for i, key in enumerate(slices.key)}
    names = [key for part in PARTS for key in content[part]]
    repeated = len(names) - len(set(names))
    unknown = [key for key in names if key not in index]
    missing = set(index) - set(names)
    if repeated or unknown or missing:
        raise InputError(
            f"the split {path.name} does not fit the data: of its {len(names)} slices {len(unknown)} are not in the data and "
            f"{repeated} are repeated, and {len(missing)} slices of the data are in no part; use the data of the split, or "
            "write another split"
        )
    return Split(*(np.array(sorted(index[key] for key in content[part]), dtype=np.int64) for part in PARTS))


def _split_by_folder(slices: SliceSet) -> Split:
    """The split that the source itself decides."""
    lacking = len(slices) - sum(part in PARTS for part in slices.part)
    if lacking:
        raise InputError(
            f"{lacking} of {len(slices)} slices are in no folder train, val or test: set data.split=slice or patient"
        )
    part_of = np.array(slices.part)
    return Split(*(np.flatnonzero(part_of == part) for part in PARTS))


def _apportion(n: int, fractions: tuple[float, float, float]) -> list[int]:
    """Numbers of units in each part that add up to n, by largest remainder, at least one where the fraction is not 0."""
    exact = [n * f for f in fractions]
    counts = [max(int(e + 1e-9), int(f > 0)) for e, f in zip(exact, fractions, strict=True)]
    while sum(counts) < n:
        # On a tie the last part gets the unit, as in the paper: 4310 at 7:1.5:1.5 are 3017, 646 and 647.
        lacking = [e - c if f > 0 else -np.inf for e, c, f in zip(exact, counts, fractions, strict=True)]
        counts[max(i for i, x in enumerate(lacking) if x >= max(lacking) - 1e-9)] += 1
    while sum(counts) > n:
        counts[int(np.argmax(counts))] -= 1
    return counts
