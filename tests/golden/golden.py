"""Golden tests: numbers of each part of the program on small fixed inputs, compared with stored ones.

A part is guarded by a version, a small integer that names its results. When a part gives other numbers than are stored, the
failing check says which version to raise. Parts are the entries of ``PARTS`` in the modules of ``tests/golden/parts``: adding
one means adding it there and running ``python -m tests.golden.write NAME``.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ipv2_bench.files import read_json, write_text

NUMBERS = Path(__file__).parent / "numbers"
"""Folder of the stored numbers, one JSON file for each part."""

Values = Mapping[str, Any]
"""Numbers by name: an array, a list or a single number each."""


@dataclass(frozen=True)
class Part:
    """A part of the program whose numbers are guarded.

    Attributes
    ----------
    name
        Name of the part and of its file of numbers.
    version_name
        Dotted name of the version to raise when the numbers change, such as ``ipv2_bench.physics.VERSION``.
    values
        Computes the numbers; some dozens, in a second or so.
    perturbations
        Name → function that changes one formula by 1e-3 through a ``MonkeyPatch``. The sensitivity test asserts that the
        check fails with each.
    depends_on
        Dotted names of further versions whose change also changes the numbers.
    rtol
        Largest accepted difference, relative to the largest stored number of the same name: wide enough for other CPUs,
        narrow enough for a change of 1e-3.
    atol
        Accepted difference where all stored numbers of that name are zero.
    """

    name: str
    version_name: str
    values: Callable[[], Values]
    perturbations: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    rtol: float = 1e-4
    atol: float = 1e-9

    def versions(self) -> dict[str, int]:
        """Present versions by dotted name; the part's own comes first."""
        return {name: int(locate(name)) for name in (self.version_name, *self.depends_on)}


class OtherNumbers(AssertionError):
    """A part gives other numbers than are stored, with the same versions."""


class OldNumbers(AssertionError):
    """Stored numbers are absent, of other versions or of other quantities."""


@functools.lru_cache(maxsize=1)
def parts() -> dict[str, Part]:
    """All parts by name, from the modules of ``tests/golden/parts``."""
    folder = str(Path(__file__).parent / "parts")
    modules = [importlib.import_module(f"tests.golden.parts.{m.name}") for m in pkgutil.iter_modules([folder])]
    every = [part for module in modules for part in module.PARTS]
    assert len({part.name for part in every}) == len(every), "two parts have the same name"
    return {part.name: part for part in every}


def check(part: Part, numbers: Path = NUMBERS) -> None:
    """Compare the numbers of a part with the stored ones.

    Raises
    ------
    OldNumbers
        When there are none, or they are of other versions or quantities: they are to be written.
    OtherNumbers
        When they differ with the same versions: a version is to be raised, or the code to be corrected.
    """
    compare(part, computed(part), numbers)


def computed(part: Part) -> Values:
    """The numbers of a part, computed with one thread: they are small, and rounding must not depend on the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return part.values()
    finally:
        torch.set_num_threads(threads)


def compare(part: Part, values: Values, numbers: Path = NUMBERS) -> None:
    """Compare given numbers of a part with the stored ones; raises as :func:`check`."""
    path, write = numbers / f"{part.name}.json", f"run `python -m tests.golden.write {part.name}`"
    if not path.exists():
        raise OldNumbers(f"{part.name} has no stored numbers: {write}")
    stored, versions = read_json(path), part.versions()
    for name in {**stored["versions"], **versions}:
        before, now = stored["versions"].get(name), versions.get(name)
        if before != now:
            raise OldNumbers(f"{part.name} has stored numbers of {name} = {before}, but the code has {now}: {write}")
    arrays = {name: np.ravel(np.asarray(value, np.float64)) for name, value in values.items()}
    expected = {name: np.asarray(value, np.float64) for name, value in stored["values"].items()}
    relative = {name: _difference(arrays[name], expected[name], part.atol) for name in arrays if name in expected}
    where = max(relative, key=relative.__getitem__, default="")
    if where and relative[where] > part.rtol:
        others = f" (or {', '.join(f'`{name}`' for name in part.depends_on)} if the change is there)"
        raise OtherNumbers(
            f"{part.name} gives other numbers than version {versions[part.version_name]} did (largest relative difference "
            f"{relative[where]:.2g}, in {where}): if that is meant, raise `{part.version_name}`"
            f"{others if part.depends_on else ''} and {write}"
        )
    changed = sorted({*arrays} ^ {*expected})
    if changed:
        raise OldNumbers(f"{part.name} computes other quantities than are stored ({', '.join(changed)}): {write}")


def _difference(array: np.ndarray, expected: np.ndarray, atol: float) -> float:
    """Largest difference relative to the largest expected number.

    Infinite for another number of numbers, for NaN, and where all that is expected is zero and ``atol`` is exceeded.
    """
    if array.shape != expected.shape:
        return np.inf
    difference, scale = float(np.abs(array - expected).max()), float(np.abs(expected).max())
    if not np.isfinite(difference):
        return np.inf
    if scale == 0.0:
        return 0.0 if difference <= atol else np.inf
    return difference / scale


def write(part: Part, numbers: Path = NUMBERS) -> None:
    """Store the numbers of a part with its present versions.

    Raises
    ------
    OtherNumbers
        When they differ from those stored with the same versions: the version is to be raised first.
    """
    values = computed(part)
    try:
        compare(part, values, numbers)
        return
    except OldNumbers:
        pass
    lines = [
        f"{json.dumps(name, ensure_ascii=False)}: {json.dumps([float(f'{x:.12g}') for x in np.ravel(np.asarray(value, float))])}"
        for name, value in values.items()
    ]
    listed = ",\n  ".join(lines)
    text = f'{{\n "versions": {json.dumps(part.versions())},\n "values": {{\n  {listed}\n }}\n}}\n'
    write_text(numbers / f"{part.name}.json", text)


def locate(dotted: str) -> Any:
    """The value of a dotted name: a module's constant or a class attribute."""
    module, names = dotted, []
    while True:
        module, _, name = module.rpartition(".")
        names.insert(0, name)
        try:
            value: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            if "." not in module:
                raise
    return functools.reduce(getattr, names, value)


def numbers_of_defaults(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of options as numbers: words by a hash, and what is neither number nor word left out.

    A result is named by the options that differ from their defaults, so a changed default changes what a name means.
    """
    numbers: dict[str, Any] = {}
    for name, value in defaults.items():
        if isinstance(value, str):
            numbers[f"default {name}"] = int(hashlib.sha256(value.encode()).hexdigest()[:8], 16)
        elif isinstance(value, int | float | tuple | list):
            numbers[f"default {name}"] = value
    return numbers


def field_defaults(cls: type) -> dict[str, Any]:
    """Defaults of a dataclass by field name."""
    return {f.name: f.default for f in dataclasses.fields(cls)}


def summary(array: Any, blocks: int = 3) -> np.ndarray:
    """An array in a few numbers: mean, standard deviation, and the means of blocks of its last two axes, float64."""
    values = np.asarray(array.detach() if hasattr(array, "detach") else array, np.float64)
    numbers = [values.mean(), values.std()]
    if values.ndim >= 2:
        for rows in np.array_split(values, blocks, axis=-2):
            numbers += [block.mean() for block in np.array_split(rows, blocks, axis=-1)]
    return np.array(numbers)


def counts(mask: Any) -> np.ndarray:
    """A mask of whole numbers as three exact sums: of the values, and of the values times their row and column."""
    values = np.asarray(mask, np.int64)
    rows, columns = np.indices(values.shape[-2:])
    return np.array([values.sum(), (values * rows).sum(), (values * columns).sum()], np.float64)
