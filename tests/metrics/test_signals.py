"""Nodules are where and what they are said to be: in bare lung or at its border, apart from each other, soft-edged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.data.sources.phantom import FIELD_MM, section_of
from ipv2_bench.metrics.anatomy import regions
from ipv2_bench.metrics.signals import (
    APART_MM,
    CLEARANCE_MM,
    EDGE_MM,
    KINDS,
    SIZES_MM,
    Signal,
    draw_signals,
    put_in,
    region,
)
from ipv2_bench.physics.intensity import Window

SIZE = 256
MM = FIELD_MM / SIZE


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    return section_of(3, 1, 1, 3, SIZE).hu


def draws(chest: np.ndarray, kind: str = "ground_glass") -> list[list[Signal]]:
    return [draw_signals(chest, Window(), MM, kind, np.random.default_rng(k)) for k in range(12)]


@pytest.mark.parametrize("kind", KINDS)
def test_nodules_are_in_bare_lung_or_at_its_border(kind: str, chest: np.ndarray) -> None:
    lung = regions(Window().unit(chest), Window())["lung"]
    filled = ndimage.binary_fill_holes(lung)
    rows, columns = np.indices(chest.shape)
    seen: dict[tuple[float, bool], int] = {}
    for signals in draws(chest, kind):
        for i, s in enumerate(signals):
            seen[s.diameter_mm, s.at_border] = seen.get((s.diameter_mm, s.at_border), 0) + 1
            assert KINDS[kind][0] <= s.hu <= KINDS[kind][1]
            distance = np.hypot(rows - s.row, columns - s.column) * MM
            around = distance < s.diameter_mm / 2 + CLEARANCE_MM - MM
            if s.at_border:
                # Its edge touches what is not lung, and its middle is lung.
                assert filled[s.row, s.column] and not filled[distance < s.diameter_mm / 2 + EDGE_MM + 2 * MM].all()
            else:
                assert lung[around].all() and ndimage.gaussian_filter(chest, 1.0)[around].max() < -700
            for other in signals[:i]:
                assert np.hypot(other.row - s.row, other.column - s.column) * MM >= APART_MM
    assert set(seen) == {(d, b) for d in SIZES_MM for b in (False, True)}, "some size found no room in any draw"


def test_the_same_draw_gives_the_same_nodules_and_another_others(chest: np.ndarray) -> None:
    first, again, other = (draw_signals(chest, Window(), MM, "solid", np.random.default_rng(k)) for k in (5, 5, 6))
    assert first == again != other


def test_a_nodule_has_its_size_and_density(chest: np.ndarray) -> None:
    flat = np.full((101, 101), -850.0)
    image = put_in(flat, 0.5, [Signal(50, 40, 8.0, -550.0, False)])
    assert image[50, 40] == -550.0 and image[50, 0] == -850.0
    # Half of its contrast on a circle of its diameter, and its volume that of a disc.
    assert image[50, 48] == pytest.approx(-700.0) and image[42, 40] == pytest.approx(-700.0)
    area = (image - flat).sum() / 300.0 * 0.25
    assert area == pytest.approx(np.pi * (16 + EDGE_MM**2 / 12), rel=0.01)
    assert np.array_equal(flat, np.full((101, 101), -850.0))
    # In the place of what was there, not on top of it.
    assert put_in(np.zeros((9, 9)), 1.0, [Signal(4, 4, 6.0, -600.0, False)])[4, 4] == -600.0


def test_a_slice_without_lung_has_no_nodules() -> None:
    assert draw_signals(np.full((64, 64), 40.0), Window(), 5.0, "solid", np.random.default_rng(0)) == []


def test_regions_are_centred_and_repeat_the_images_edge() -> None:
    image = np.arange(100.0).reshape(10, 10)
    assert region(image, Signal(5, 4, 6.0, 0.0, False), 3).tolist() == [[43, 44, 45], [53, 54, 55], [63, 64, 65]]
    assert region(image, Signal(0, 9, 6.0, 0.0, False), 3).tolist() == [[8, 9, 9], [8, 9, 9], [18, 19, 19]]
