"""Which slices train, validate and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import numpy_generator

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Indices into a slice set, ascending, int64; the parts do not overlap and cover everything."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split_slices(slices: SliceSet, by: str, fractions: tuple[float, float, float], seed: int) -> Split:
    """Split by ``patient`` (no patient on two sides) or by ``slice`` (as the paper does).

    Parameters
    ----------
    slices
        What to split.
    by
        ``"patient"`` or ``"slice"``.
    fractions
        Train, validation and test, adding up to 1. A part whose fraction is not 0 gets at least one unit.
    seed
        Of the random order of the units.

    Raises
    ------
    InputError
        For an unknown ``by``, fractions that do not add up, or fewer patients than parts.
    """
    if by not in ("patient", "slice"):
        raise InputError(f"split '{by}' is unknown: use patient or slice")
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6 or fractions[0] == 0 or fractions[2] == 0:
        raise InputError(f"split fractions {fractions} must be ≥ 0, add up to 1, and leave something to train and test")
    if by == "patient" and not all(slices.patient):
        raise InputError("the data do not tell patients apart, so they cannot be split by patient: set data.split=slice")
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
