"""The digital chest phantom draws plausible, repeatable and continuous sections."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.data.thorax import Patient, Section, draw_section

SIZE, PIXEL = 256, 1.5625
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [Patient.draw(np.random.default_rng(seed)) for seed in (11, 12, 13)]


@pytest.fixture(scope="module")
def sections(patients: list[Patient]) -> dict[tuple[int, float], Section]:
    return {(i, t): draw_section(p, t, SIZE, PIXEL) for i, p in enumerate(patients) for t in LEVELS}


def lung_mask(hu: np.ndarray) -> np.ndarray:
    """Air-like pixels that are not joined to the outside, their holes (vessels, nodules) filled."""
    labels, _ = ndimage.label(hu < -500)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    dark = (labels > 0) & ~np.isin(labels, outside)
    return ndimage.binary_fill_holes(ndimage.binary_closing(dark, iterations=3))


def tissue(hu: np.ndarray) -> np.ndarray:
    """The body with what it encloses; the opening takes the table's shell away."""
    labels, count = ndimage.label(ndimage.binary_opening(hu > -300, iterations=2))
    sizes = ndimage.sum_labels(labels > 0, labels, np.arange(1, count + 1))
    return ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes)))


def test_types_and_range(sections: dict[tuple[int, float], Section]) -> None:
    for section in sections.values():
        assert section.hu.shape == section.nodules.shape == (SIZE, SIZE)
        assert section.hu.dtype == np.float64
        assert section.nodules.dtype == np.bool_
        assert np.isfinite(section.hu).all()
        assert section.hu.min() >= -1000
        assert section.hu.max() <= 1000


def test_same_generator_same_section() -> None:
    first, second = (Patient.draw(np.random.default_rng(5)) for _ in range(2))
    one, two = draw_section(first, 0.4, 128, 3.125), draw_section(second, 0.4, 128, 3.125)
    again = draw_section(first, 0.4, 128, 3.125)
    np.testing.assert_array_equal(one.hu, two.hu)
    np.testing.assert_array_equal(one.hu, again.hu)
    np.testing.assert_array_equal(one.nodules, two.nodules)


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the global state is what is being guarded)
    draw_section(Patient.draw(np.random.default_rng(6)), 0.5, 64, 6.25)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002 (as above)


def test_patients_differ(sections: dict[tuple[int, float], Section]) -> None:
    difference = np.abs(sections[0, 0.5].hu - sections[1, 0.5].hu)
    assert (difference > 50).mean() > 0.05


def test_air_around_the_body(sections: dict[tuple[int, float], Section]) -> None:
    for section in sections.values():
        for corner in (section.hu[:8, :8], section.hu[:8, -8:], section.hu[-8:, :8], section.hu[-8:, -8:]):
            np.testing.assert_array_equal(corner, -1000)


def test_body_stays_in_the_field_of_view(sections: dict[tuple[int, float], Section]) -> None:
    for section in sections.values():
        body = tissue(section.hu)
        assert not body[:4].any()
        assert 0.18 < body.mean() < 0.65


def test_table_lies_below_the_patient(sections: dict[tuple[int, float], Section]) -> None:
    hu = sections[0, 0.5].hu
    below = np.flatnonzero(tissue(hu)[:, SIZE // 2]).max() + 3
    assert hu[below:, SIZE // 2].max() > -700
    assert hu[below:, SIZE // 2].max() < 120


def test_tissues_have_their_share(sections: dict[tuple[int, float], Section]) -> None:
    for (_, level), section in sections.items():
        inside = section.hu[tissue(section.hu)]
        lung, fat, soft, bone = (
            ((inside > low) & (inside < high)).mean()
            for low, high in ((-920, -760), (-130, -60), (15, 80), (250, 1000))
        )
        assert lung > (0.02 if level in (0.0, 1.0) else 0.2)
        assert 0.03 < fat < 0.55
        assert 0.12 < soft < 0.75
        assert 0.01 < bone < 0.15


def test_lungs_at_mid_level(sections: dict[tuple[int, float], Section]) -> None:
    for patient in range(3):
        hu = sections[patient, 0.5].hu
        lungs = lung_mask(hu)
        assert 0.25 < lungs.sum() / tissue(hu).sum() < 0.6
        assert -880 < np.median(hu[lungs]) < -780
        labels, count = ndimage.label(ndimage.binary_opening(lungs, iterations=2))
        large = sum((labels == k).sum() > 1000 for k in range(1, count + 1))
        assert large == 2, "a right and a left lung"


def test_every_level_shows_lung(patients: list[Patient]) -> None:
    for patient in patients:
        for level in np.linspace(0, 1, 6):
            hu = draw_section(patient, float(level), 128, 3.125).hu
            assert lung_mask(hu).sum() * 3.125**2 > 1500


def test_neighbours_are_alike(patients: list[Patient]) -> None:
    patient = patients[0]
    for level in (0.02, 0.3, 0.5, 0.8, 0.95):
        here, near, far = (draw_section(patient, level + d, SIZE, PIXEL).hu for d in (0.0, 0.002, 0.03))
        assert np.abs(here - near).mean() < 9
        assert np.abs(here - near).mean() < 0.5 * np.abs(here - far).mean()
        # Nothing larger than a few pixels may jump between cuts half a millimetre apart.
        assert np.abs(ndimage.uniform_filter(here - near, 9)).max() < 250


def test_resolutions_agree(patients: list[Patient]) -> None:
    for level in (0.1, 0.5):
        coarse = draw_section(patients[1], level, SIZE, PIXEL).hu
        fine = draw_section(patients[1], level, 2 * SIZE, PIXEL / 2).hu
        mean = fine.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
        assert np.abs(mean - coarse).mean() < 8
        assert abs(float((mean - coarse).mean())) < 2
        assert np.quantile(np.abs(mean - coarse), 0.99) < 160


def test_nodules_lie_in_the_lungs(patients: list[Patient]) -> None:
    for patient in patients:
        assert len(patient.nodules) >= 1
        assert ((patient.nodules[:, 3] >= 2) & (patient.nodules[:, 3] <= 8)).all()
        span = 0.89 * patient.height
        seen = 0
        for _, _, z, radius, density in patient.nodules:
            level = (z - 0.06 * patient.height) / span
            if not 0 <= level <= 1:
                continue
            section = draw_section(patient, level, SIZE, PIXEL)
            assert section.nodules.any()
            assert (section.nodules & ~lung_mask(section.hu)).sum() == 0
            assert section.hu[section.nodules].max() >= (-100 if density > 0 and radius > 2 else -800)
            # Other nodules may be cut too; none is wider than 16 mm.
            assert section.nodules.sum() * PIXEL**2 <= len(patient.nodules) * np.pi * 9**2
            seen += 1
        assert seen >= 1


def test_sections_without_nodules_are_common(patients: list[Patient]) -> None:
    flags = [draw_section(patients[0], float(t), 64, 6.25).nodules.any() for t in np.linspace(0, 1, 9)]
    assert not all(flags)


@pytest.mark.parametrize("level", [-0.01, 1.01, float("nan")])
def test_bad_level(patients: list[Patient], level: float) -> None:
    with pytest.raises(ValueError, match=rf"level must lie in 0\.\.1 .*{level!r}"):
        draw_section(patients[0], level, 64, 6.25)


@pytest.mark.parametrize("size", [0, -4, 7, 5000, 64.0, True])
def test_bad_size(patients: list[Patient], size: int) -> None:
    with pytest.raises(ValueError, match=f"size must be a whole number .*{size!r}"):
        draw_section(patients[0], 0.5, size, 6.25)


@pytest.mark.parametrize("pixel_mm", [0.0, -1.0, 25.0, float("nan"), float("inf")])
def test_bad_pixel(patients: list[Patient], pixel_mm: float) -> None:
    with pytest.raises(ValueError, match=f"pixel_mm must be above 0 .*{pixel_mm!r}"):
        draw_section(patients[0], 0.5, 64, pixel_mm)
