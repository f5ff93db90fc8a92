"""Splits cover everything once, keep patients together, and are reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.formats.png import write_png
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.paired_png import PairedPng
from ipv2_bench.data.split import Split, deal_out, evenly_spaced, split_slices, write_split
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from tests.data.test_png import pairs

SEVENTY = (0.7, 0.15, 0.15)


def slices_of(patients: list[str]) -> SliceSet:
    blank = np.broadcast_to(np.float32(0), (len(patients), 1, 1))
    return SliceSet(Path(), blank, blank, None, None, tuple(patients), np.ones(len(patients)), "")


def parts(split: Split) -> list[np.ndarray]:
    return [split.train, split.val, split.test]


def uneven(patients: int) -> list[str]:
    """Patient p has 1 + p % 7 slices, and those of neighbours interleave."""
    names = [f"p{p:02d}" for p in range(patients) for _ in range(1 + p % 7)]
    return [names[i] for i in np.random.default_rng(0).permutation(len(names))]


@pytest.mark.parametrize("by", ["patient", "slice"])
@pytest.mark.parametrize("fractions", [SEVENTY, (0.5, 0.0, 0.5), (0.98, 0.01, 0.01)])
def test_parts_are_disjoint_ascending_and_cover_everything(by: str, fractions: tuple[float, float, float]) -> None:
    slices = slices_of(uneven(31))
    three = parts(split_slices(slices, by, fractions, seed=3))
    np.testing.assert_array_equal(np.sort(np.concatenate(three)), np.arange(len(slices)))
    for part, fraction in zip(three, fractions, strict=True):
        assert (np.diff(part) > 0).all()
        assert (len(part) > 0) == (fraction > 0)


def test_no_patient_is_on_two_sides() -> None:
    slices = slices_of(uneven(31))
    names = [{slices.patient[i] for i in part} for part in parts(split_slices(slices, "patient", SEVENTY, seed=1))]
    assert sum(map(len, names)) == len(set.union(*names)) == 31
    assert list(map(len, names)) == [22, 4, 5]  # 21.7, 4.65 and 4.65


def test_the_papers_split_is_by_slice() -> None:
    slices = slices_of([f"p{i // 100}" for i in range(4310)])
    split = split_slices(slices, "slice", SEVENTY, seed=0)
    assert len(split.train) == 3017
    assert sorted((len(split.val), len(split.test))) == [646, 647]
    assert len({slices.patient[i] for i in split.train} & {slices.patient[i] for i in split.test}) > 30


def test_the_papers_split_has_647_test_slices() -> None:
    split = split_slices(slices_of(["p"] * 4310), "slice", SEVENTY, seed=0)
    assert [len(part) for part in parts(split)] == [3017, 646, 647]


def test_equal_seeds_split_alike_and_others_do_not() -> None:
    slices = slices_of(uneven(31))
    for by in ("patient", "slice"):
        first, again, other = (parts(split_slices(slices, by, SEVENTY, seed)) for seed in (0, 0, 1))
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_order_of_slices_does_not_move_a_patient() -> None:
    names = uneven(20)
    ahead, reverse = slices_of(names), slices_of(names[::-1])
    for a, b in zip(*(parts(split_slices(s, "patient", SEVENTY, 2)) for s in (ahead, reverse)), strict=True):
        assert {ahead.patient[i] for i in a} == {reverse.patient[i] for i in b}


def test_small_sets_still_fill_every_part() -> None:
    split = split_slices(slices_of(["a", "b", "c"]), "patient", (0.9, 0.05, 0.05), seed=0)
    assert [len(part) for part in parts(split)] == [1, 1, 1]


def test_a_single_patient_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"1 patient: .* into train, val, test needs at least 3.*data\.split=slice"):
        split_slices(slices_of(["p"] * 50), "patient", SEVENTY, seed=0)
    with pytest.raises(InputError, match="1 patient: a split by patient into train, test needs at least 2"):
        split_slices(slices_of(["p"] * 50), "patient", (0.5, 0.0, 0.5), seed=0)


@pytest.mark.parametrize(
    "fractions", [(0.7, 0.2, 0.2), (0.7, 0.1, 0.1), (1.2, -0.4, 0.2), (0.0, 0.5, 0.5), (0.8, 0.2, 0.0)]
)
def test_fractions_that_leave_something_out_are_refused(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="split fractions"):
        split_slices(slices_of(uneven(31)), "slice", fractions, seed=0)


def test_unknown_ways_to_split_are_refused() -> None:
    with pytest.raises(InputError, match="split 'series' is unknown: use patient, slice, folder or a file"):
        split_slices(slices_of(uneven(5)), "series", SEVENTY, seed=0)


def test_the_folders_own_split(tmp_path: Path) -> None:
    slices = PairedPng(str(pairs(tmp_path / "p"))).slices(tmp_path / "cache", Window(), 32)
    split = split_slices(slices, "folder", (0.7, 0.15, 0.15), 0)
    assert [len(part) for part in (split.train, split.val, split.test)] == [4, 4, 4]
    assert all(slices.part[i] == "val" for i in split.val)
    pooled = PairedPng(str(pairs(tmp_path / "q", parts=("",)))).slices(tmp_path / "cache", Window(), 32)
    with pytest.raises(InputError, match="4 of 4 slices are in no folder train, val or test"):
        split_slices(pooled, "folder", (0.7, 0.15, 0.15), 0)


def test_a_split_file_is_the_split_again(tmp_path: Path) -> None:
    slices = PairedPng(str(pairs(tmp_path / "p"))).slices(tmp_path / "cache", Window(), 32)
    split = split_slices(slices, "slice", (0.5, 0.25, 0.25), 3)
    file = tmp_path / "split.json"
    write_split(slices, split, "slice", file)
    write_split(slices, split, str(file), tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_text() == file.read_text()  # the rule is that of the first file
    again = split_slices(slices, str(file), (0.7, 0.15, 0.15), 99)
    assert all(np.array_equal(getattr(split, p), getattr(again, p)) for p in ("train", "val", "test"))
    # The names do not depend on the folder's order: another file in front moves every index.
    write_png(tmp_path / "p" / "test" / "lq" / "00.png", np.eye(32, dtype=np.float32), 8)
    write_png(tmp_path / "p" / "test" / "gt" / "00.png", 1 - np.eye(32, dtype=np.float32), 8)
    more = PairedPng(str(tmp_path / "p")).slices(tmp_path / "cache", Window(), 32)
    with pytest.raises(InputError, match="1 slices of the data are in no part"):
        split_slices(more, str(file), (0.7, 0.15, 0.15), 0)
    text = file.read_text()
    for change, message in (
        (text.replace(slices.key[0], "0" * 16), "1 are not in the data"),
        (text.replace('"train"', '"training"'), "does not list train"),
        (text[:40], "is no JSON"),
    ):
        file.write_text(change)
        with pytest.raises(InputError, match=message):
            split_slices(slices, str(file), (0.7, 0.15, 0.15), 0)
    with pytest.raises(InputError, match="does not exist or cannot be read"):
        split_slices(slices, str(tmp_path / "none.json"), (0.7, 0.15, 0.15), 0)


@pytest.mark.parametrize(("patients", "folds", "val"), [(4, 2, 0.0), (7, 3, 0.2), (5, 5, 0.0)])
def test_folds_test_every_patient_once_and_train_on_none_of_them(patients: int, folds: int, val: float) -> None:
    slices = slices_of(uneven(patients))
    splits = deal_out(slices, folds, val, seed=2)
    assert len(splits) == folds
    np.testing.assert_array_equal(np.sort(np.concatenate([s.test for s in splits])), np.arange(len(slices)))
    for split in splits:
        names = [{slices.patient[i] for i in part} for part in parts(split)]
        assert sum(map(len, names)) == len(set.union(*names)) == patients
        assert len(names[2]) in (patients // folds, -(-patients // folds)) and bool(names[1]) == (val > 0)


def test_folds_that_cannot_be_dealt_are_refused() -> None:
    with pytest.raises(InputError, match="do not tell patients apart"):
        deal_out(slices_of(["", ""]), 2, 0.0, 0)
    with pytest.raises(InputError, match=r"data\.folds is 3 and the data set has 2 patients"):
        deal_out(slices_of(["a", "b"]), 3, 0.0, 0)
    with pytest.raises(InputError, match="no patient left to train on"):
        deal_out(slices_of(["a", "b"]), 2, 0.5, 0)


def test_some_slices_of_each_patient_are_evenly_spaced() -> None:
    patient = ["a"] * 9 + ["b"] * 2 + ["a"]
    assert evenly_spaced(patient, 3) == [0, 4, 9, 10, 11]
    assert evenly_spaced(patient, 100) == list(range(12)) and evenly_spaced([], 3) == []
