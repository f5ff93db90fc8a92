"""Pictures of a board: every slice pixel for pixel, titles that are explained, and a slice that shows lung."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.views.figures import ACROSS, GAP, LEAST_SIDE, example_slices, panel
from ipv2_bench.benchmark.views.one_slice import DIFFERENCE_HU, draw_slices, richest_part, typical_slice
from ipv2_bench.benchmark.views.strategy_options import option_words
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.strategies.purified import CHOICES
from ipv2_bench.purification.strategy import Strategy

WINDOW = Window()


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=float)


@pytest.mark.parametrize(("size", "times"), [(50, 3), (64, 2), (128, 1), (160, 1)])
def test_every_slice_has_its_own_pixels(size: int, times: int, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((2, size, size))
    panel([("one", images), ("two", 1 - images)], WINDOW, tmp_path / "p.png")
    shown, step = pixels(tmp_path / "p.png"), size * times + GAP
    assert size * times >= LEAST_SIDE and shown.shape[1] == 2 * step - GAP
    expected = (255 * ((WINDOW.hu(1 - images[1]) + 1350) / 1500).clip(0, 1)).repeat(times, 0).repeat(times, 1)
    last = shown[-size * times - GAP : -GAP, step:]
    assert np.abs(last - expected).max() < 2.0  # of 256 greys


def test_many_columns_continue_below(tmp_path: Path) -> None:
    image = np.zeros((1, 128, 128))
    heights = []
    for number in (ACROSS, ACROSS + 1):
        panel([(f"set {i}", image) for i in range(number)], WINDOW, tmp_path / "p.png")
        heights.append(pixels(tmp_path / "p.png").shape)
    assert heights[1][0] == 2 * heights[0][0] and heights[1][1] < heights[0][1] == ACROSS * (128 + GAP) - GAP
    panel([("set", image)] * 3, WINDOW, tmp_path / "p.png", notes=["what a word means", "and another"])
    noted = pixels(tmp_path / "p.png")
    assert noted.shape[0] > heights[0][0] + 20 and noted[-25:].min() < 100  # there is text


def test_the_options_of_a_strategy_are_explained() -> None:
    strategies = [Strategy.from_name("IPv1"), Strategy.from_name("IPv2", background="both_outside")]
    assert list(option_words(strategies)) == ["both_outside"]
    assert "outside of the body" in option_words(strategies)["both_outside"]
    mixed = Strategy.from_name("IPv2", texture_mix=0.3, anatomy="all", order="fill_then_or")
    words = option_words([mixed])
    assert mixed.name == f"IPv2 [{', '.join(words)}]" and "30 %" in words["T=0.3"]


def test_every_choice_of_a_mask_rule_is_explained() -> None:
    for field in fields(MaskRule):
        with pytest.raises((InputError, ValueError)) as error:
            MaskRule(**{field.name: "unknown"})
        valid = str(error.value).rpartition("use one of ")[2].split(", ")
        assert len(valid) > 1 and set(valid) <= set(CHOICES)


def test_the_large_slice_shows_lung_and_is_as_hard_as_others(phantom: SliceSet) -> None:
    assert phantom.truth is not None
    truth = np.array(phantom.truth)[[1, 3, 4, 5]]
    empty = np.full_like(truth[:1], 0.7)  # tissue alone
    target = np.concatenate([empty, truth, empty])
    errors = np.array([0.06, 0.01, 0.09, 0.05, 0.07, 0.06])
    assert typical_slice(target + errors[:, None, None], target, WINDOW) in (3, 4)  # median of 0.01, 0.09, 0.05, 0.07
    errors[1], errors[3] = 0.10, 0.08
    assert typical_slice(target + errors[:, None, None], target, WINDOW) in (2, 3)
    assert typical_slice(empty, empty, WINDOW) == 0  # where none shows lung


def test_the_magnified_part_is_where_the_lung_has_structure() -> None:
    lung = np.zeros((64, 64), dtype=bool)
    lung[10:50, 5:60] = True
    truth = np.where(lung, -850.0, 40.0)
    truth[40:44, 50:54] = 0.0  # a vessel
    truth[2:8, 2:8] = 900.0  # structure outside of the lung does not count
    top, left = richest_part(truth, lung, 16)
    assert top <= 40 and top + 16 >= 44 and left <= 50 and left + 16 >= 54
    assert richest_part(truth, np.zeros_like(lung), 16) == richest_part(truth, np.zeros_like(lung), 16)
    assert all(0 <= x <= 64 - 16 for x in richest_part(truth, np.ones_like(lung), 16))


def test_one_slice_stands_beside_the_truth_with_its_difference(tmp_path: Path) -> None:
    truth = np.full((64, 64), -600.0)
    low = truth + DIFFERENCE_HU  # the difference is white
    draw_slices({"uLDCT": low, "denoised": truth + 10, "aligned truth": truth}, WINDOW, True, [], tmp_path / "s.png")
    shown = pixels(tmp_path / "s.png")
    wide = (shown.shape[1] + GAP) // 3 - GAP
    # Whole slices at grey 128 of −1350 to 150 HU, the differences below.
    assert abs(float(np.median(shown[wide // 2 : wide, 2 * (wide + GAP) :])) - 127.5) < 1
    below = shown[-wide // 2 + 20 : -60]
    assert np.median(below[:, wide // 2 + 20 : wide - 20]) > 250
    assert abs(float(np.median(below[:, wide + GAP + wide // 2 + 20 : 2 * wide - 20])) - 127.5 * (1 + 10 / DIFFERENCE_HU)) < 2
    draw_slices({"uLDCT": low, "NDCT": truth}, WINDOW, False, [], tmp_path / "n.png")
    assert pixels(tmp_path / "n.png").shape[1] == 2 * (wide + GAP) - GAP


@pytest.mark.parametrize(
    ("patients", "expected"),
    [
        ("aaaaaaaabbbbbbbbccccccccdddddddd", [4, 12, 20]),  # the middle of three of four patients, and never the end of one
        ("aaabbbcccdddeeefff", [1, 7, 13]),
        ("aaaaaaaaabbbb", [3, 6, 11]),
        ("aaaaaaaa", [2, 4, 6]),
        ("ab", [0, 1]),
    ],
)
def test_example_slices_are_from_the_middle_of_patients(patients: str, expected: list[int]) -> None:
    assert example_slices(list(patients)).tolist() == expected
    assert example_slices([""] * 8).tolist() == [2, 4, 6]
