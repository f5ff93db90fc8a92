"""Numbers of every guarded part are those that are stored, and the check says what to do when they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench import physics, registry
from ipv2_bench.denoisers.base import Denoiser
from tests.golden.golden import (
    NUMBERS,
    OldNumbers,
    OtherNumbers,
    Part,
    check,
    locate,
    numbers_of_defaults,
    parts,
    write,
)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("name", parts())
def test_numbers_are_those_of_this_version(name: str) -> None:
    check(parts()[name])


def test_every_denoiser_is_guarded_by_its_own_version() -> None:
    guarded = {part.version_name for part in parts().values()}
    for name in registry.names("ipv2_bench.denoisers"):
        cls = registry.find("ipv2_bench.denoisers", name, Denoiser)  # type: ignore[type-abstract]
        assert f"{cls.__module__}.{cls.__qualname__}.version" in guarded, name


def test_no_numbers_are_left_of_parts_that_are_gone() -> None:
    assert {path.stem for path in NUMBERS.glob("*.json")} == set(parts())


def toy(value: float) -> Part:
    """A part with two numbers."""
    return Part(
        "toy", "tests.toy.VERSION", lambda: {"a": [value, 0.5], "zero": 0.0}, depends_on=("tests.other.VERSION",)
    )


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Versions of the toy part by dotted name, to be changed by tests."""
    present = {"tests.toy.VERSION": 3, "tests.other.VERSION": 1}
    monkeypatch.setattr("tests.golden.golden.locate", present.__getitem__)
    return present


def test_other_numbers_name_the_version_to_raise(tmp_path: Path, versions: dict[str, int]) -> None:
    write(toy(2.0), tmp_path)
    check(toy(2.0), tmp_path)
    check(toy(2.0 * (1 + 5e-5)), tmp_path)
    message = (
        r"toy gives other numbers than version 3 did \(largest relative difference 0.001, in a\): if that is meant, raise "
        r"`tests.toy.VERSION` \(or `tests.other.VERSION` if the change is there\) and run `python -m tests.golden.write toy`"
    )
    with pytest.raises(OtherNumbers, match=message):
        check(toy(2.002), tmp_path)
    with pytest.raises(OtherNumbers):
        check(toy(float("nan")), tmp_path)


def test_numbers_are_not_overwritten_before_the_version_is_raised(tmp_path: Path, versions: dict[str, int]) -> None:
    write(toy(2.0), tmp_path)
    before = (tmp_path / "toy.json").read_bytes()
    with pytest.raises(OtherNumbers, match=r"raise `tests.toy.VERSION`"):
        write(toy(2.1), tmp_path)
    assert (tmp_path / "toy.json").read_bytes() == before
    versions["tests.toy.VERSION"] = 4
    with pytest.raises(
        OldNumbers, match=r"stored numbers of tests.toy.VERSION = 3, but the code has 4: run `python -m"
    ):
        check(toy(2.1), tmp_path)
    write(toy(2.1), tmp_path)
    check(toy(2.1), tmp_path)
    assert json.loads((tmp_path / "toy.json").read_text())["versions"]["tests.toy.VERSION"] == 4


def test_absent_numbers_and_other_quantities_are_to_be_written(tmp_path: Path, versions: dict[str, int]) -> None:
    with pytest.raises(OldNumbers, match=r"toy has no stored numbers: run `python -m tests.golden.write toy`"):
        check(toy(2.0), tmp_path)
    write(toy(2.0), tmp_path)
    more = replace(toy(2.0), values=lambda: {"a": [2.0, 0.5], "zero": 0.0, "new": np.ones(2)})
    with pytest.raises(OldNumbers, match=r"other quantities than are stored \(new\)"):
        check(more, tmp_path)
    write(more, tmp_path)
    check(more, tmp_path)


def test_a_changed_default_is_noticed_and_a_new_option_is_not_taken_for_one(
    tmp_path: Path, versions: dict[str, int]
) -> None:
    def with_defaults(**defaults: object) -> Part:
        return replace(toy(2.0), values=lambda: numbers_of_defaults(defaults))

    write(with_defaults(lr=1e-4, schedule="constant", widths=(8, 16)), tmp_path)
    for changed in ({"lr": 2e-4}, {"schedule": "cosine"}, {"widths": (8, 24)}, {"widths": (8,)}, {"lr": 1, "new": 1}):
        with pytest.raises(OtherNumbers):
            check(with_defaults(**{"lr": 1e-4, "schedule": "constant", "widths": (8, 16), **changed}), tmp_path)
    with pytest.raises(OldNumbers, match=r"\(default steps\)"):
        check(with_defaults(lr=1e-4, schedule="constant", widths=(8, 16), steps=3), tmp_path)


def test_dotted_names_of_constants_and_of_class_attributes() -> None:
    assert locate("ipv2_bench.physics.VERSION") == physics.VERSION
    assert locate("ipv2_bench.denoisers.iterative.fm.FlowMatching.version") == 1
