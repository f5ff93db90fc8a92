"""Scans of which each has a dose, kernel, pixel size and motion of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import section_of
from ipv2_bench.data.sources.varied_scan import VariedScan, resampled
from ipv2_bench.physics.intensity import Window
from tests.dicom_files import write_series

OPTIONS: dict = {"views": 30, "dose": (0.01, 0.1), "pixel_mm": (2.0, 6.0), "cutoff": (0.05, 0.2), "phantoms": 1, "levels": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    folder = tmp_path_factory.mktemp("varied")
    hu = section_of(3, 0, 1, 3, 128).hu
    write_series(folder / "ct", np.rint(np.stack([hu, hu])), 3.0, PatientID="1")
    return VariedScan(scans=4, root=str(folder / "ct"), **OPTIONS).slices(folder / "cache", Window(), 64)


def test_every_anatomy_is_scanned_several_times_and_never_twice_alike(made: SliceSet) -> None:
    assert len(made) == (2 + 2) * 4 and len(set(made.patient)) == 2 and len(set(made.key)) == len(made)
    assert len(set(made.pixel_mm.tolist())) == len(made)
    assert 2.0 <= made.pixel_mm.min() < 3.0 and 5.0 < made.pixel_mm.max() <= 6.0
    assert made.truth is not None
    noise = [float((made.low.hu(i) - made.truth.hu(i)).std()) for i in range(len(made))]
    assert max(noise) > 3 * min(noise)


def test_some_breathe_and_some_lie_still(made: SliceSet) -> None:
    assert made.truth is not None
    still = [bool(np.array_equal(made.normal.hu(i), made.truth.hu(i))) for i in range(len(made))]
    assert 3 <= sum(still) <= 13
    moved = still.index(False)
    assert np.abs(made.normal.hu(moved) - made.truth.hu(moved)).mean() > 5


def test_the_noise_is_that_of_the_drawn_scan(tmp_path: Path) -> None:
    hu = section_of(3, 0, 1, 3, 64).hu
    write_series(tmp_path / "ct", np.rint(hu)[None], 6.0)
    fixed: dict = {"views": 60, "pixel_mm": (6.0, 6.0), "cutoff": (0.1, 0.1), "root": str(tmp_path / "ct"), "scans": 6}
    spread = []
    for dose in (0.01, 0.04):
        slices = VariedScan(dose=(dose, dose), **fixed).slices(tmp_path / "cache", Window(), 64)
        assert slices.truth is not None
        spread.append(np.median([(slices.low.hu(i) - slices.truth.hu(i)).std() for i in range(len(slices))]))
    assert spread[0] / spread[1] == pytest.approx(2.0, rel=0.25)  # four times the photons


@pytest.mark.parametrize(("from_mm", "to_mm"), [(1.0, 0.5), (0.5, 1.0), (0.7, 0.7), (0.8, 0.61)])
def test_resampling_keeps_the_middle_and_the_size_in_mm(from_mm: float, to_mm: float) -> None:
    n, size = 96, 128
    rows, columns = (np.mgrid[:n, :n] - (n - 1) / 2) * from_mm
    inside = rows**2 + columns**2 < 15.0**2
    image = resampled(np.where(inside, 40.0, -1000.0), from_mm, to_mm, size)
    assert image.shape == (size, size) and image.min() >= -1000 and image.max() <= 40
    shown = image > -480
    assert shown.sum() * to_mm**2 == pytest.approx(np.pi * 15.0**2, rel=0.03)
    centre = np.argwhere(shown).mean(0)
    assert np.abs(centre - (size - 1) / 2).max() < 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dose": (0.1, 0.01)}, r"dose is 0\.1 to 0\.01: expected two numbers above 0, the smaller first"),
        ({"pixel_mm": (1.0,)}, r"pixel_mm is \[1\.0\]: expected two numbers"),
        ({"cutoff": (0.0, 0.5)}, "cutoff is 0 to 0.5"),
        ({"still": 2.0}, "still is 2: expected a share from 0 to 1"),
        ({"scans": 0}, "scans=0, phantoms=0, levels=4: expected at least 1, 0 and 1"),
    ],
)
def test_ranges_that_are_none_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VariedScan(root="ct", **options)
