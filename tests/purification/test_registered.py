"""The strategy ``registered`` against the known motion of the phantom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.breathing import Breathing, deform
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import FIELD_MM
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import numpy_generator
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.masks import body_mask
from ipv2_bench.purification.registration import at_full_size, folded_share, registration, warped, warped_in_series
from ipv2_bench.purification.strategies.registered import Registered
from tests.data.conftest import EVERYTHING


def known_motion(i: int) -> np.ndarray:
    """The breathing of a slice of the fixture at its size, [2, 128, 128] in pixels."""
    p, j = divmod(i, 3)
    fine = Breathing().displacement(256, FIELD_MM / 256, numpy_generator(5, "phantom", p, j, "breathing"))
    return fine.reshape(2, 128, 2, 128, 2).mean(axis=(2, 4)) / 2


def test_registration_finds_the_known_motion(phantom: SliceSet) -> None:
    strategy = Registered()
    assert phantom.truth is not None
    errors = []
    for i, motion in enumerate(strategy.motion(phantom)):
        body = body_mask(phantom.truth[i])
        missed = at_full_size(motion, 128) - known_motion(i)
        errors.append([np.square(field[:, body]).sum(axis=0).mean() for field in (missed, known_motion(i))])
    # In mm: less than half of what there was.
    after, before = np.sqrt(np.mean(errors, axis=0)) * FIELD_MM / 128
    assert before > 3.0 and after < 0.5 * before, (after, before)
    of_ndct, of_registered = (
        np.square(x - np.asarray(phantom.truth)).mean() for x in (np.asarray(phantom.normal), strategy.targets(phantom))
    )
    assert of_registered < 0.25 * of_ndct


def test_aligned_slices_stay_and_a_shift_is_found(phantom: SliceSet) -> None:
    image = np.asarray(phantom.normal[1])
    body = body_mask(image)
    assert np.sqrt(np.square(registration(image, image, 128, 1.0, (10, 10))[:, body]).sum(axis=0).mean()) < 0.1
    field = np.zeros((2, 128, 128))
    field[1] = 2.0
    moved = deform(image, field).astype(np.float32)  # moved(x) = image(x + 2 columns)
    found = at_full_size(registration(moved, image, 64, 1.0, (10, 10)), 128)
    assert abs(float(np.median(found[1][body])) - 2.0) < 0.3 and abs(float(np.median(found[0][body]))) < 0.3
    exact = warped(image, np.stack([np.zeros((64, 64)), np.ones((64, 64))]).astype(np.float32))
    np.testing.assert_allclose(exact[:, 4:-4], moved[:, 4:-4], atol=1e-5)


def test_folded_motions_are_told_and_left_out(
    phantom: SliceSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = np.arange(32.0)[:, None].repeat(32, axis=1)
    mirrored = np.stack([31 - 2 * rows, np.zeros((32, 32))])  # x → 31 − x
    assert folded_share(np.zeros((2, 32, 32))) == 0.0 and folded_share(mirrored) == 1.0
    both = np.where((rows < 8)[None], mirrored, 0.0)
    assert 0.15 < folded_share(both) < 0.35

    motions = np.zeros((6, 2, 32, 32))
    motions[2] = mirrored
    monkeypatch.setattr(Registered, "motion", lambda self, slices: motions)
    with caplog.at_level("WARNING", logger="ipv2_bench"):
        data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("registered", folded=0.03))
    assert data.split.train.tolist() == [0, 3, 4, 5] and data.used == pytest.approx(0.8)
    assert "registered: the motion of 1 of 6 slices folds at 1e+02 to 1e+02 % of the pixels; they are left out" in caplog.text
    motions[:] = mirrored
    with pytest.raises(InputError, match="train on none of the training slices"):
        PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("registered", folded=0.04))


def test_a_series_is_registered_as_a_volume(phantom: SliceSet) -> None:
    """A ball of vessels in a chest that moves down by half a slice and a pixel to the right, seen in the NDCT."""
    depth, size = 6, 40
    z, y, x = np.meshgrid(np.arange(depth), np.arange(size), np.arange(size), indexing="ij")

    def chest(down: float, right: float) -> np.ndarray:
        at = (z - down, y, x - right)
        body = ((at[1] - 20) / 16) ** 2 + ((at[2] - 20) / 18) ** 2 < 1
        lungs = sum(((at[1] - 19) / 10) ** 2 + ((at[2] - c) / 6.5) ** 2 + ((at[0] - 2.5) / 5) ** 2 < 1 for c in (11, 29))
        image = np.where(body, 0.7, 0.0) - np.where(body & (lungs > 0), 0.5, 0.0)
        for k, (cy, cx, cz) in enumerate([(16, 11, 2), (21, 12, 3), (19, 29, 2), (14, 28, 4), (24, 30, 1)]):
            image += 0.3 * np.exp(-((at[1] - cy) ** 2 + (at[2] - cx) ** 2 + 6 * (at[0] - cz) ** 2) / (4 + k))
        return image.astype(np.float32)

    low, normal = chest(0.0, 0.0), chest(0.6, 1.5)
    motion = registration(low, normal, size, 0.5, (1, 3, 3), distance=2.0)
    assert motion.shape == (3, depth, size, size) and folded_share(motion) == 0.0
    within = low[2] < 0.4
    within &= low[2] > 0.1
    found = [float(np.median(motion[c, 2][within])) for c in range(3)]
    assert abs(found[2] - 1.5) < 0.4 and abs(found[1]) < 0.4 and abs(found[0] - 0.6) < 0.35, found
    there = warped_in_series(normal, 2, motion[:, 2], range(6))
    before, after = (np.square(image - low[2])[within].mean() for image in (normal[2], there))
    assert after < 0.3 * before
    exactly = np.zeros((3, 32, 32), np.float32)
    exactly[0] = 0.25  # a quarter of the way to the next slice
    np.testing.assert_allclose(warped_in_series(normal, 2, exactly, range(6)), 0.75 * normal[2] + 0.25 * normal[3], atol=1e-6)
    # The end of a series is the end, whatever slices follow.
    np.testing.assert_allclose(warped_in_series(normal, 3, exactly, range(4)), normal[3], atol=1e-6)


def test_series_of_a_slice_set(phantom: SliceSet, tmp_path: Path) -> None:
    strategy = Strategy.from_name("registered", dimensions=3, slice_mm=4.0, knots_mm=100.0, grid_mm=12.0)
    with pytest.raises(InputError, match=r"dimensions=3 needs slices in order, as data\.source=virtual_scan or paired_dicom"):
        strategy.targets(replace(phantom, folder=tmp_path, stack=()))
    short = replace(phantom, folder=tmp_path, stack=("a", "a", "a", "a", "b", "b"))
    with pytest.raises(InputError, match=r"needs series of 4 slices, and slice .* is in one of 2 \(1 such\): use dimensions=2"):
        strategy.targets(short)
    whole = replace(phantom, folder=tmp_path, stack=("a",) * 6)
    targets, shares = strategy.targets(whole), strategy.folded_shares(whole)
    assert targets.shape == phantom.low.shape and shares.shape == (6,) and len(strategy.usable(whole)) == 6
    assert Registered(dimensions=3, slice_mm=4.0).training_identity() != Registered().training_identity()
    with pytest.raises(InputError, match="dimensions is 4: expected 2 or 3"):
        Strategy.from_name("registered", dimensions=4)
    for dimensions, slice_mm in ((3, 0.0), (2, 4.0), (3, -1.0)):
        with pytest.raises(InputError, match=rf"slice_mm is {slice_mm}: expected the distance of neighbouring slices in mm"):
            Strategy.from_name("registered", dimensions=dimensions, slice_mm=slice_mm)
