"""Geometry is carried: an independent reader finds the same HU at the same point of the patient, whatever the orientation."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from ipv2_bench.cli import main
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import Wanted, read_tree
from ipv2_bench.data.sources.phantom import section_of
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.folders.simulate import cut_back, place_of
from ipv2_bench.physics.intensity import Window
from tests.dicom_files import write_series

sitk = pytest.importorskip("SimpleITK")

SIDE, PIXEL_MM, STEP_MM = 96, 4.0, 5.0

ORIENTATIONS = {
    "supine": (1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "decubitus": (0, 1, 0, -1, 0, 0),
    "mirrored": (-1, 0, 0, 0, 1, 0),
    "a little turned": (0.9986295, 0.052336, 0, -0.052336, 0.9986295, 0),
}


def chest(folder: Path, axes: tuple[float, ...]) -> np.ndarray:
    """A series of four sections of a thorax, which no mirror maps onto itself; HU [4, N, N]."""
    hu = np.stack([np.rint(section_of(11, 0, level, 9, SIDE).hu) for level in range(3, 7)])
    normal = np.cross(axes[:3], axes[3:])
    start = np.array([-150.0, -120.0, 33.0])
    for i, path in enumerate(write_series(folder, hu, PIXEL_MM, ImageOrientationPatient=list(axes), PatientID="1")):
        data = dcmread(path)
        data.ImagePositionPatient = [round(float(x), 6) for x in start + i * STEP_MM * normal]
        data.save_as(path)
    return hu


def volume(folder: Path) -> object:
    """A series as ITK's reader sees it."""
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    return reader.Execute()


def same_points(made: object, source: object, block: int) -> float:
    """Largest difference in HU between pixels of one volume and the mean of the other's around the same points."""
    image, before = (sitk.GetArrayFromImage(v).astype(float) for v in (made, source))
    worst = 0.0
    rng = np.random.default_rng(0)
    for _ in range(300):
        i, j, k = (int(rng.integers(n)) for n in image.shape[::-1])
        point = made.TransformIndexToPhysicalPoint((i, j, k))  # type: ignore[attr-defined]
        x, y, z = source.TransformPhysicalPointToContinuousIndex(point)  # type: ignore[attr-defined]
        left, top, level = x - (block - 1) / 2, y - (block - 1) / 2, round(z)
        assert abs(left - round(left)) < 0.01 and abs(top - round(top)) < 0.01 and abs(z - level) < 0.01
        part = before[level, round(top) : round(top) + block, round(left) : round(left) + block]
        assert part.shape == (block, block)
        worst = max(worst, abs(part.mean() - image[k, j, i]))
    return worst


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("block", [1, 2], ids=["native", "half the size"])
def test_simulated_voxels_stay_where_they_were(tmp_path: Path, name: str, block: int) -> None:
    chest(tmp_path / "in", ORIENTATIONS[name])
    words = ["--format", "dicom", "--size", str(SIDE // block), "data.views=30", "data.min_lung=0.01", "data.photons=17000"]
    assert main(["simulate", str(tmp_path / "in"), str(tmp_path / "out"), "--quiet", *words]) == 0
    source = volume(tmp_path / "in")
    (gt,) = (tmp_path / "out" / "gt").iterdir()
    made = volume(gt)
    assert made.GetSize()[2] == 4
    assert same_points(made, source, block) <= 0.501
    (lq,) = (tmp_path / "out" / "lq").iterdir()
    low = volume(lq)
    assert np.allclose(low.GetOrigin(), made.GetOrigin()) and np.allclose(low.GetDirection(), made.GetDirection())


@pytest.mark.parametrize("rows", [64, 76, 96])
@pytest.mark.parametrize(("columns", "block"), [(96, 1), (96, 2), (88, 1), (72, 1)])
def test_slices_that_are_no_squares_are_padded_and_cut_back(tmp_path: Path, rows: int, columns: int, block: int) -> None:
    axes = ORIENTATIONS["decubitus"]
    hu = np.stack([np.rint(section_of(11, 0, level, 9, SIDE).hu) for level in range(3, 7)])
    part = hu[:, (SIDE - rows) // 2 :][:, :rows, (SIDE - columns) // 2 :][:, :, :columns]
    for i, path in enumerate(write_series(tmp_path / "in", part, PIXEL_MM, ImageOrientationPatient=list(axes))):
        data = dcmread(path)
        data.ImagePositionPatient = [3.0, 5.0, STEP_MM * i]
        data.save_as(path)
    assert main(["check", str(tmp_path / "in"), "--quiet"]) == 0
    size = max(rows, columns) // block
    words = ["--format", "dicom", "--size", str(size), "data.views=30", "data.min_lung=0.01", "data.photons=17000"]
    assert main(["simulate", str(tmp_path / "in"), str(tmp_path / "out"), "--quiet", *words]) == 0
    (gt,) = (tmp_path / "out" / "gt").iterdir()
    made, source = volume(gt), volume(tmp_path / "in")
    assert made.GetSize()[:2] == (columns // block, rows // block)
    assert same_points(made, source, block) <= 0.501
    slices = VirtualScan(str(tmp_path / "in"), min_lung=0.01, views=20).slices(tmp_path / "cache", Window(), 32)
    assert slices.normal.hu(0).shape == (32, 32)


@pytest.mark.parametrize("size", [96, 48, 40, 33])
@pytest.mark.parametrize(("rows", "columns"), [(96, 96), (76, 96), (96, 73), (95, 60)])
def test_the_middle_stays_in_its_place(rows: int, columns: int, size: int) -> None:
    """Whether margins are cut off again or stay: the middle of what is written is where the middle of the scan was."""
    axes, spacing = np.array(ORIENTATIONS["a little turned"]), 0.9
    hu, corner_mm = np.zeros((1, rows, columns)), np.array([-31.0, 17.0])
    series = Series("a", hu, np.array([12.0]), spacing, "k", "p", corner_mm=corner_mm, axes=axes)
    pixel_mm = spacing * max(rows, columns) / size
    place = place_of(series, 0, pixel_mm)
    height, width = cut_back(np.zeros((size, size)), (rows, columns)).shape
    across, down = axes.reshape(2, 3)
    made = place.corner_mm + pixel_mm * ((width - 1) / 2 * across + (height - 1) / 2 * down)
    corner = -31.0 * across + 17.0 * down + 12.0 * np.cross(across, down)
    before = corner + spacing * ((columns - 1) / 2 * across + (rows - 1) / 2 * down)
    off = 0.5 * spacing if (rows + columns) % 2 else 0.0  # a margin that cannot be halved
    assert np.abs(made - before).max() <= off + 1e-9


@pytest.mark.parametrize("spacing", [(4.0, 2.5), (2.5, 4.0)])
def test_oblong_pixels_are_resampled_when_asked_for(
    tmp_path: Path, spacing: tuple[float, float], capsys: pytest.CaptureFixture[str]
) -> None:
    down, across = np.meshgrid(np.arange(SIDE) * spacing[0], np.arange(SIDE) * spacing[1], indexing="ij")
    slope = np.rint(-1000.0 + 0.5 * down + 0.25 * across)  # linear in mm, so that linear interpolation is right
    write_series(tmp_path / "in" / "a", np.stack([slope, slope + 1, slope + 2]), 1.0, PixelSpacing=list(spacing))
    assert main(["check", str(tmp_path / "in"), "--quiet"]) == 2
    assert "expected square pixels; set data.resample=true" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "in"), "data.resample=true", "--quiet"]) == 0
    (series,) = read_tree(tmp_path / "in", wanted=Wanted(square=True))
    finest = min(spacing)
    rows, columns = series.hu.shape[1:]
    assert series.spacing_mm == finest and rows == int((SIDE - 1) * spacing[0] / finest + 1e-6) + 1
    i, j = np.meshgrid(np.arange(rows) * finest, np.arange(columns) * finest, indexing="ij")
    assert np.abs(series.hu[0] - (-1000.0 + 0.5 * i + 0.25 * j)).max() <= 1.01  # two roundings to whole HU


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_denoised_voxels_stay_where_they_were(tmp_path: Path, name: str) -> None:
    chest(tmp_path / "in", ORIENTATIONS[name])
    assert main(["denoise", str(tmp_path / "in"), str(tmp_path / "out"), "--checkpoint", "identity", "--quiet"]) == 0
    assert same_points(volume(tmp_path / "out"), volume(tmp_path / "in"), 1) == 0


READERS = ("dciodvfy", "dcmdump")
"""Independent readers that complain: Debian's dicom3tools and dcmtk."""


def errors_of(path: Path, reader: str) -> set[str]:
    done = subprocess.run([reader, str(path)], capture_output=True, text=True, errors="replace", check=False)
    return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "E: ", "W: "))}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_written_is_valid_dicom(tmp_path: Path, reader: str) -> None:
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")
    chest(tmp_path / "in", ORIENTATIONS["supine"])
    words = ["--format", "dicom", "--size", "48", "data.views=30", "data.min_lung=0.01", "data.photons=17000"]
    assert main(["simulate", str(tmp_path / "in"), str(tmp_path / "sim"), "--quiet", *words]) == 0
    assert main(["denoise", str(tmp_path / "in"), str(tmp_path / "den"), "--checkpoint", "identity", "--quiet"]) == 0
    for path in (tmp_path / "sim").rglob("*.dcm"):
        assert errors_of(path, reader) == set()
    for path in (tmp_path / "den").rglob("*.dcm"):
        assert errors_of(path, reader) <= errors_of(tmp_path / "in" / path.name, reader)


def test_numbers_and_uids_of_simulated_series(tmp_path: Path) -> None:
    chest(tmp_path / "in", ORIENTATIONS["prone"])
    words = ["--format", "dicom", "--size", "48", "data.views=30", "data.min_lung=0.01", "data.photons=17000"]
    assert main(["simulate", str(tmp_path / "in"), str(tmp_path / "sim"), "--quiet", *words]) == 0
    slices = [dcmread(path) for path in (tmp_path / "sim").rglob("*.dcm")]
    assert len({d.SOPInstanceUID for d in slices}) == len(slices) == 12
    assert len({d.StudyInstanceUID for d in slices}) == len({d.FrameOfReferenceUID for d in slices}) == 1
    series = {uid: [d for d in slices if d.SeriesInstanceUID == uid] for uid in {d.SeriesInstanceUID for d in slices}}
    assert sorted(own[0].SeriesNumber for own in series.values()) == [1, 2, 3]
    for own in series.values():
        normal = np.cross(*np.reshape([float(x) for x in own[0].ImageOrientationPatient], (2, 3)))
        position = [float(np.dot(normal, [float(x) for x in d.ImagePositionPatient])) for d in own]
        numbers = [d.InstanceNumber for d in own]
        assert [numbers[i] for i in np.argsort(position)] == sorted(set(numbers)) and len(set(numbers)) == 4
