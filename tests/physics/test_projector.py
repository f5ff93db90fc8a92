"""Projection and FBP against closed forms and scikit-image, in the geometry that the module documents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.transform import iradon, radon

from ipv2_bench.physics.closed_form import ellipse_image, ellipse_sinogram
from ipv2_bench.physics.filters import FILTERS, ramp_response
from ipv2_bench.physics.projector import ParallelBeam

BLOBS = [(1.0, 0.1, 0.2, 0.06), (0.7, -0.4, 0.3, 0.03), (-0.5, 0.3, -0.5, 0.02)]  # value, x, y, σ


def blob_image(size: int) -> np.ndarray:
    half, at = size / 2, np.arange(size) - (size - 1) / 2
    away = [((at[None] - x * half) ** 2 + (-at[:, None] - y * half) ** 2, w * half) for _, x, y, w in BLOBS]
    return sum(blob[0] * np.exp(-square / (2 * w**2)) for blob, (square, w) in zip(BLOBS, away, strict=True))


def blob_sinogram(size: int, angles: np.ndarray, s: np.ndarray) -> np.ndarray:
    half, sinogram = size / 2, np.zeros((len(angles), len(s)))
    for value, x, y, w in BLOBS:
        away = s[None] - half * (x * np.cos(angles) + y * np.sin(angles))[:, None]
        sinogram += value * np.sqrt(2 * np.pi) * w * half * np.exp(-(away**2) / (2 * (w * half) ** 2))
    return sinogram


def reconstruct(size: int, views: int, sinogram: Callable, name: str = "ram-lak") -> np.ndarray:
    beam = ParallelBeam(size, views)
    integrals = torch.from_numpy(sinogram(size, beam.angles, beam.detector_px)).float()
    return beam.backproject(integrals[None], name)[0].numpy()


def inner(size: int) -> np.ndarray:
    at = np.arange(size) - (size - 1) / 2
    return at[:, None] ** 2 + at**2 < (size / 2 - 2) ** 2


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


@pytest.mark.parametrize(
    ("size", "views", "allowed"), [(256, 180, 0.006), (255, 181, 0.006), (128, 91, 0.01), (97, 45, 0.01)]
)
def test_ellipses_project_to_their_chords(size: int, views: int, allowed: float) -> None:
    beam = ParallelBeam(size, views)
    ours = beam.project(torch.from_numpy(ellipse_image(size))[None])
    exact = ellipse_sinogram(size, beam.angles, beam.detector_px)
    assert ours.shape == (1, views, beam.detectors) and ours.dtype == torch.float32
    assert rms(ours[0].numpy() - exact) < allowed * rms(exact)


def test_each_view_holds_the_mass_of_the_slice() -> None:
    image = torch.from_numpy(ellipse_image(64))[None]
    mass = ParallelBeam(64, 30).project(image).sum(-1)
    torch.testing.assert_close(mass, image.sum().float().expand(1, 30), rtol=1e-4, atol=0)


def test_slices_of_a_batch_do_not_mix() -> None:
    images = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    beam = ParallelBeam(40, 31)
    together = beam.project(images)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], beam.project(images[i : i + 1]), rtol=0, atol=1e-3)
    back = beam.backproject(together)
    torch.testing.assert_close(back[1:2], beam.backproject(together[1:2]), rtol=0, atol=1e-4)


def test_neither_threads_nor_batch_change_a_bit() -> None:
    images, beam = torch.rand(5, 48, 48, generator=torch.Generator().manual_seed(1)), ParallelBeam(48, 40)
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 4):
            torch.set_num_threads(n)
            sinograms = beam.project(images)
            results.append((sinograms, beam.backproject(sinograms, "hann")))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert torch.equal(results[0][0][3:4], beam.project(images[3:4]))


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(("size", "views"), [(64, 50), (65, 51)])
def test_the_accelerators_operators_are_the_processors(size: int, views: int) -> None:
    images = torch.rand(3, size, size, generator=torch.Generator().manual_seed(2))
    beam = ParallelBeam(size, views, tolerance=1e-6)
    gridded = beam._gridded_on(torch.device("cpu"))  # the same torch code, run here
    sinograms = beam.project(images)
    assert (gridded.project(images) - sinograms).norm() < 3e-5 * sinograms.norm()
    for name in FILTERS:
        response = torch.from_numpy(ramp_response(2 * beam.detectors, name)).float()
        ours, theirs = gridded.backproject(sinograms, response), beam.backproject(sinograms, name)
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        assert (ours - theirs).norm() < 3e-5 * theirs.norm()


@pytest.mark.parametrize(("size", "views"), [(256, 360), (129, 181)])
def test_fbp_keeps_the_mean(size: int, views: int) -> None:
    truth, ours = ellipse_image(size), reconstruct(size, views, ellipse_sinogram)
    assert abs(ours[inner(size)].mean() / truth[inner(size)].mean() - 1) < 1e-4
    assert abs(ours.mean() / truth.mean() - 1) < 1e-4


# At odd sizes scikit-image's centre, pixel and detector cell N // 2, is ours, and its angle turns the same way.
def test_fbp_of_smooth_blobs_is_far_nearer_than_scikit_image() -> None:
    size, views = 129, 180
    beam = ParallelBeam(size, views)
    truth, ours = blob_image(size), reconstruct(size, views, blob_sinogram)
    work = blob_sinogram(size, beam.angles, np.arange(size) - size // 2)
    theirs = iradon(work.T, theta=np.degrees(beam.angles), filter_name="ramp", circle=True)
    inside = inner(size)
    error = rms((ours - truth)[inside])
    assert error < 1e-4 * rms(truth[inside])
    assert error < 0.01 * rms((theirs - truth)[inside])


def test_round_trip_errs_at_most_half_as_much_as_scikit_image() -> None:
    size, views = 129, 180
    beam = ParallelBeam(size, views)
    truth, degrees = ellipse_image(size), np.degrees(beam.angles)
    ours = beam.backproject(beam.project(torch.from_numpy(truth)[None]))[0].numpy()
    work = radon(np.where(inner(size), truth, 0), theta=degrees, circle=True)
    theirs = iradon(work, theta=degrees, filter_name="ramp", circle=True)
    assert rms((ours - truth)[inner(size)]) <= 0.5 * rms((theirs - truth)[inner(size)])


@pytest.mark.parametrize("size", [64, 65])
def test_a_disc_is_where_the_docstring_says(size: int) -> None:
    x, y = 14.0, 9.0  # to the right and up
    disc = [(1.0, 2 * x / size, 2 * y / size, 8 / size, 8 / size, 0.0)]
    image = ellipse_image(size, disc)
    beam = ParallelBeam(size, 90)
    sinogram = beam.project(torch.from_numpy(image)[None])[0].numpy()
    centroid = (sinogram * beam.detector_px).sum(1) / sinogram.sum(1)
    np.testing.assert_allclose(centroid, x * np.cos(beam.angles) + y * np.sin(beam.angles), atol=0.02)
    back = beam.backproject(torch.from_numpy(sinogram)[None])[0].numpy()
    row, column = np.unravel_index(np.argmax(np.where(back > 0.5, image, 0)), image.shape)
    weight = np.clip(back, 0.3, None) - 0.3
    at = np.arange(size) - (size - 1) / 2
    assert row < size / 2 < column
    assert abs((weight * at[None]).sum() / weight.sum() - x) < 0.05
    assert abs((weight * -at[:, None]).sum() / weight.sum() - y) < 0.05


def test_sinogram_is_scikit_images_at_odd_sizes() -> None:
    size = 65
    image = np.where(inner(size), ellipse_image(size), 0)
    beam = ParallelBeam(size, 36)
    theirs = radon(image, theta=np.degrees(beam.angles), circle=True).T
    ours = beam.project(torch.from_numpy(image)[None])[0].numpy()
    at_their_cells = np.stack([np.interp(np.arange(size) - size // 2, beam.detector_px, view) for view in ours])
    assert rms(at_their_cells - theirs) < 0.02 * rms(theirs)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_keeps_the_value_inside_a_disc(name: str) -> None:
    disc = [(0.7, 0.1, -0.05, 0.6, 0.6, 0.0)]
    size = 128
    ours = reconstruct(size, 180, lambda n, angles, s: ellipse_sinogram(n, angles, s, disc), name)
    at = np.arange(size) - (size - 1) / 2
    well_inside = (at[None] - 6.4) ** 2 + (-at[:, None] + 3.2) ** 2 < (0.45 * size / 2) ** 2
    assert abs(ours[well_inside].mean() / 0.7 - 1) < 0.001
    if name in ("cosine", "hann"):  # the sharper two ring at a sharp edge, by the nature of a band limit
        assert np.abs(ours[well_inside] / 0.7 - 1).max() < 0.01


@pytest.mark.parametrize("name", FILTERS)
def test_filters_have_the_shape_of_their_name(name: str) -> None:
    nu = np.fft.rfftfreq(512)
    ramp = {
        "ram-lak": nu,
        "shepp-logan": np.sin(np.pi * nu) / np.pi,
        "cosine": nu * np.cos(np.pi * nu),
        "hann": nu * np.cos(np.pi * nu) ** 2,
    }[name]
    response = ramp_response(512, name)
    # Kak & Slaney's band-limited kernel, cut off at the length, differs from |ν| by little, most at both ends.
    np.testing.assert_allclose(response[1:-1], ramp[1:-1], atol=5e-5)
    np.testing.assert_allclose(response[-1], ramp[-1], atol=5e-4)
    assert 1e-5 < response[0] < 1e-3


@pytest.mark.parametrize(
    ("size", "views", "tolerance", "named"),
    [(0, 10, 1e-4, "size is 0"), (8, -3, 1e-4, "views is -3"), (8, 10, 0.0, "tolerance is 0")],
)
def test_numbers_that_are_not_positive_are_refused(size: int, views: int, tolerance: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ParallelBeam(size, views, tolerance)


def test_wrong_shapes_and_filters_are_refused_by_name() -> None:
    beam = ParallelBeam(16, 10)
    with pytest.raises(ValueError, match=r"\(1, 15, 15\)"):
        beam.project(torch.zeros(1, 15, 15))
    with pytest.raises(ValueError, match=r"\(16, 16\)"):
        beam.project(torch.zeros(16, 16))
    with pytest.raises(ValueError, match=r"\(1, 9, "):
        beam.backproject(torch.zeros(1, 9, beam.detectors))
    with pytest.raises(ValueError, match=r"'hamming' is unknown.*ram-lak"):
        beam.backproject(torch.zeros(1, 10, beam.detectors), "hamming")
