"""Breathing motion and the virtual second scan: size of the motion, a table at rest, and a truth that is aligned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench.data.breathing import Breathing, deform
from ipv2_bench.data.second_scan import ScannedSlice, SecondScan, area_resize
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window

PIXEL_MM, SIZE = 3.0, 96
LOW_DOSE, NO_NOISE = Acquisition(photons=3000.0, views=60), Acquisition(photons=1e9, views=60)


def displacements(breathing: Breathing, n: int = 40, size: int = SIZE, pixel_mm: float = PIXEL_MM) -> np.ndarray:
    """In mm, [n, 2, size, size]."""
    return pixel_mm * np.stack([breathing.displacement(size, pixel_mm, np.random.default_rng(i)) for i in range(n)])


@pytest.mark.parametrize(("size", "pixel_mm"), [(96, 3.0), (192, 1.5)])
def test_random_motion_has_its_size_whatever_the_resolution(size: int, pixel_mm: float) -> None:
    field = displacements(Breathing(random_mm=5.0, smooth_mm=30.0, expansion=0.0), size=size, pixel_mm=pixel_mm)
    for component in (0, 1):
        moved = field[:, component, : size // 3]  # the front, which moves freely
        assert np.sqrt((moved**2).mean()) == pytest.approx(5.0, rel=0.15)


def test_motion_is_smooth() -> None:
    field = displacements(Breathing(random_mm=5.0, smooth_mm=30.0, expansion=0.0))[:, :, : SIZE // 3]
    # A Gaussian of σ gives white noise the slope rms/(√2·σ).
    slope = np.sqrt((np.diff(field, axis=3) ** 2).mean()) / PIXEL_MM
    assert slope == pytest.approx(5.0 / (np.sqrt(2) * 30.0), rel=0.2)


def test_expansion_grows_to_the_front() -> None:
    field = displacements(Breathing(random_mm=0.0, expansion=0.02), n=200)
    front = field[:, 0, 0, SIZE // 2]
    assert front.std() == pytest.approx(0.02 * SIZE * PIXEL_MM, rel=0.15)
    third = SIZE // 3
    np.testing.assert_allclose(field[:, 0, third, SIZE // 2], front * (1 - third / (SIZE - 1)), rtol=1e-6)
    sides = field[:, 1, 0]
    np.testing.assert_allclose(sides[:, 0], -sides[:, -1], atol=1e-9)  # to both sides alike
    assert sides[:, -1].std() == pytest.approx(0.02 * SIZE * PIXEL_MM / 2, rel=0.2)


def test_the_back_rests_on_the_table() -> None:
    size_of = np.abs(displacements(Breathing())).max((0, 1, 3))
    assert size_of[-1] == 0.0
    assert size_of[-SIZE // 8 :].max() < 0.1 * size_of[: SIZE // 3].max()


def test_no_breathing_moves_nothing() -> None:
    assert np.abs(displacements(Breathing(random_mm=0.0, expansion=0.0), n=2)).max() == 0.0


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_the_motion_is_scaled_as_it_is(factor: float) -> None:
    scaled, default = (displacements(breathing, n=2) for breathing in (Breathing().scaled(factor), Breathing()))
    np.testing.assert_allclose(scaled, factor * default, atol=1e-12)
    assert Phantom(breathing=factor).scanner.breathing == Breathing().scaled(factor)


def test_without_breathing_the_pair_is_aligned(tmp_path: Path) -> None:
    """What is left between NDCT and truth is the noise of the normal dose."""
    still, moved = (Phantom(patients=1, levels=1, seed=5, breathing=b).slices(tmp_path, Window(), 64) for b in (0.0, 1.0))
    assert still.truth is not None and moved.truth is not None
    apart = [float(np.abs(s.normal.hu(0) - s.truth.hu(0)).mean()) for s in (still, moved) if s.truth is not None]
    assert apart[0] < 0.3 * apart[1] and still.manifest != moved.manifest


def test_the_default_breathing_renames_no_data() -> None:
    assert Phantom(breathing=1.0).identity() == Phantom().identity() and Phantom(breathing=2.0).identity() != Phantom().identity()


def test_deform_samples_where_the_field_points() -> None:
    image = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    field = np.zeros((2, 32, 32))
    field[0], field[1] = 3.0, -2.0
    moved = deform(image, field)
    np.testing.assert_allclose(moved[:-3, 2:], image[3:, :-2], atol=1e-5)
    assert deform(image, 0.37 * field).max() <= image.max() and moved.dtype == np.float64


def test_area_resize_keeps_the_mean_of_each_block() -> None:
    fine = np.random.default_rng(0).uniform(-900, 300, (2, 12, 12)).astype(np.float32)
    blocks = fine.reshape(2, 4, 3, 4, 3).mean((2, 4))
    np.testing.assert_allclose(area_resize(torch.from_numpy(fine), 4).numpy(), blocks, rtol=1e-4)


@pytest.fixture(scope="module")
def section() -> np.ndarray:
    return draw_section(Patient.draw(np.random.default_rng(4)), 0.5, 2 * SIZE, PIXEL_MM / 2).hu


def scan(scanner: SecondScan, hu: np.ndarray, *key: int | str) -> ScannedSlice:
    return scanner.scan(hu, PIXEL_MM / 2, SIZE, *(key or ("test", 0)))


def test_truth_is_aligned_with_the_low_dose_scan_and_the_ndct_is_not(section: np.ndarray) -> None:
    clean = scan(SecondScan(NO_NOISE), section)
    assert clean.pixel_mm == PIXEL_MM and clean.low.shape == (SIZE, SIZE) and clean.low.dtype == np.float64
    assert np.abs(clean.low - clean.truth).max() < 5.0  # HU, with hardly any noise
    assert np.sqrt(((clean.normal - clean.truth) ** 2).mean()) > 50.0
    still = scan(SecondScan(NO_NOISE, breathing=Breathing(0.0, 35.0, 0.0)), section)
    assert np.abs(still.normal - still.truth).max() < 0.5


def test_each_dose_has_its_own_noise(section: np.ndarray) -> None:
    real, drawn = (scan(SecondScan(LOW_DOSE, normal), section) for normal in (None, replace(LOW_DOSE, photons=3e5)))
    np.testing.assert_array_equal(real.low, drawn.low)
    np.testing.assert_array_equal(real.truth, drawn.truth)
    low, normal = (real.low - real.truth).std(), (drawn.normal - real.normal).std()
    assert low / normal == pytest.approx(10.0, rel=0.2)  # the root of 100
    errors = (real.low - real.truth).ravel(), (drawn.normal - real.normal).ravel()
    assert abs(np.corrcoef(*errors)[0, 1]) < 0.1


def test_the_key_decides_all_that_is_drawn(section: np.ndarray) -> None:
    scanner = SecondScan(LOW_DOSE, LOW_DOSE)
    first, again, other = (scan(scanner, section, "key", i) for i in (0, 0, 1))
    for name in ("low", "normal", "truth"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert np.abs(getattr(first, name) - getattr(other, name)).max() > 10


def test_phantom_slices_are_reproducible_and_name_their_patients(phantom: SliceSet, tmp_path: Path) -> None:
    again = Phantom(patients=2, levels=3, seed=5).slices(tmp_path, Window(), 128)
    assert again.manifest == phantom.manifest and again.folder != phantom.folder
    for name in ("low", "normal", "truth"):
        np.testing.assert_array_equal(getattr(again, name), getattr(phantom, name))
    assert phantom.patient == ("phantom-000",) * 3 + ("phantom-001",) * 3
    np.testing.assert_allclose(phantom.pixel_mm, 400 / 128)
    assert phantom.low[:].min() == 0 and phantom.low[:].max() <= 1
    assert phantom.low.hu(0).min() < -1000  # noise below air, which the window clips
    other = Phantom(patients=1, levels=1, seed=6).slices(tmp_path, Window(), 128)
    assert np.abs(other.truth[0] - phantom.truth[0]).max() > 0.1


def test_a_patient_does_not_depend_on_how_many_there_are(phantom: SliceSet, tmp_path: Path) -> None:
    alone = Phantom(patients=1, levels=3, seed=5).slices(tmp_path, Window(), 128)
    np.testing.assert_array_equal(alone.low, phantom.low[:3])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"levels": -1}, "levels is -1"),
        ({"photons": 0.0}, "photons is 0"),
        ({"breathing": -1.0}, "breathing is -1"),
    ],
)
def test_empty_phantoms_are_refused(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Phantom(**options)


def test_nodules_move_with_the_truth() -> None:
    at = np.arange(SIZE) - SIZE // 2
    nodule = (at[:, None] + 12) ** 2 + (at[None] - 6) ** 2 < 6**2
    hu = np.where(nodule, 40.0, -850.0).astype(np.float32)
    scanned = SecondScan(LOW_DOSE, NO_NOISE, Breathing(random_mm=5.0)).scan(hu, PIXEL_MM, SIZE, 3, nodules=nodule)
    assert scanned.nodules is not None and scanned.nodules.dtype == np.float64
    np.testing.assert_allclose(scanned.nodules, (scanned.truth + 850.0) / 890.0, atol=1e-3)
    assert np.abs(scanned.nodules - nodule).max() > 0.5  # it has moved
    assert SecondScan(LOW_DOSE, NO_NOISE).scan(hu, PIXEL_MM, SIZE, 3).nodules is None


def test_the_phantom_marks_its_nodules() -> None:
    arrays = Phantom(patients=3, levels=8, views=60).make(Window(), 64, progress=False).arrays
    nodules, truth = arrays["nodules"], arrays["truth"]
    assert nodules.shape == truth.shape and nodules.min() == 0.0 and 0.5 < nodules.max() <= 1.0
    # Even the faintest is denser than the lung around it.
    assert truth[nodules > 0.5].min() > -780.0


def test_at_80_kilovolts_bone_is_brighter_in_the_low_dose_slice_alone() -> None:
    hu = np.full((SIZE, SIZE), -1000.0)
    hu[24:72, 24:72], hu[36:60, 36:60] = 40.0, 700.0
    at_rest = Breathing(random_mm=0.0, expansion=0.0)
    scan = SecondScan(replace(NO_NOISE, kilovolt=80), breathing=at_rest).scan(hu, PIXEL_MM, SIZE, 0)
    bone, tissue = np.s_[40:56, 40:56], np.s_[26:34, 26:70]
    assert scan.truth[bone].mean() == scan.normal[bone].mean() == 700.0
    assert scan.low[bone].mean() == pytest.approx(100 + (2590 - 100) * 600 / 1502, abs=2.0)
    assert scan.low[tissue].mean() == pytest.approx(40.0, abs=2.0)
