"""Grouping of series by patient."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.dicom.patients import Belonging, group_patients
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.errors import InputError
from tests.dicom_files import write_series


def belonging(number: str, *studies: str) -> Belonging:
    return Belonging(number, frozenset(studies))


TREE = {
    "a": belonging("1", "s1"),
    "b": belonging("1", "s2"),
    "c": belonging("2", "s3"),
    "d": belonging("", "s3"),
    "e": belonging("", ""),
}


def test_auto_joins_by_number_and_by_study() -> None:
    assert group_patients(TREE) == {"a": "a", "b": "a", "c": "c", "d": "c", "e": "e"}


def test_study_and_series_do_not_look_at_the_number() -> None:
    assert group_patients(TREE | {"e": belonging("1", "s2")}, "study") == {
        "a": "a",
        "b": "b",
        "c": "c",
        "d": "c",
        "e": "b",
    }
    assert group_patients(TREE, "series") == {k: k for k in TREE}


def test_a_number_that_all_carry_is_an_anonymisers(caplog: pytest.LogCaptureFixture) -> None:
    tree = {"a": belonging("x", "s1"), "b": belonging("x", "s2"), "c": belonging("x", "s2")}
    with caplog.at_level(logging.WARNING, "ipv2_bench"):
        assert group_patients(tree) == {"a": "a", "b": "b", "c": "b"}
    assert "data.patients_by=patient_id" in caplog.text
    assert group_patients(tree, "patient_id") == {"a": "a", "b": "a", "c": "a"}


def test_a_number_that_only_some_carry_is_a_patients() -> None:
    tree = {"a": belonging("1", "s1"), "b": belonging("1", "s2"), "c": belonging("", "s3")}
    assert group_patients(tree) == {"a": "a", "b": "a", "c": "c"}


def test_series_that_chain_are_one_patient() -> None:
    tree = {"c": belonging("1", "s1"), "b": belonging("2", "s1"), "a": belonging("2", "s2"), "d": belonging("3", "s4")}
    assert group_patients(tree) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_a_rule_whose_tag_is_missing_is_refused() -> None:
    with pytest.raises(InputError, match=r"patient_id, which 2 of 5 series do not have.*use auto"):
        group_patients(TREE, "patient_id")
    with pytest.raises(InputError, match="'name': use one of auto, patient_id, study, series"):
        group_patients(TREE, "name")


def test_two_series_of_one_person_fall_on_one_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, number in enumerate(("A", "A", "B", "C")):
        write_series(tmp_path / str(i), rng.integers(-1000, 400, (3, 16, 16)), 0.7, PatientID=number)
    by_folder = {s.folder: s for s in read_tree(tmp_path)}
    assert by_folder["0"].patient == by_folder["1"].patient == min(by_folder["0"].key, by_folder["1"].key)
    assert len({s.patient for s in by_folder.values()}) == 3
    apart = read_tree(tmp_path, patients_by="series")
    assert [s.patient for s in apart] == [s.key for s in apart]
