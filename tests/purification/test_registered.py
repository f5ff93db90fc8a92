"""The strategy ``registered`` against the known motion of the phantom."""

from __future__ import annotations

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
from ipv2_bench.purification.strategies.registered import Registered, at_full_size, folded_share, registration, warped
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
    assert np.sqrt(np.square(registration(image, image, 128, 1.0, 10)[:, body]).sum(axis=0).mean()) < 0.1
    field = np.zeros((2, 128, 128))
    field[1] = 2.0
    moved = deform(image, field).astype(np.float32)  # moved(x) = image(x + 2 columns)
    found = at_full_size(registration(moved, image, 64, 1.0, 10), 128)
    assert abs(float(np.median(found[1][body])) - 2.0) < 0.3 and abs(float(np.median(found[0][body]))) < 0.3
    exact = warped(image, np.stack([np.zeros((64, 64)), np.ones((64, 64))]).astype(np.float32))
    np.testing.assert_allclose(exact[:, 4:-4], moved[:, 4:-4], atol=1e-5)


def test_folded_motions_are_told_and_left_out(phantom: SliceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(32.0)[:, None].repeat(32, axis=1)
    mirrored = np.stack([31 - 2 * rows, np.zeros((32, 32))])  # x → 31 − x
    assert folded_share(np.zeros((2, 32, 32))) == 0.0 and folded_share(mirrored) == 1.0
    both = np.where((rows < 8)[None], mirrored, 0.0)
    assert 0.15 < folded_share(both) < 0.35

    motions = np.zeros((6, 2, 32, 32))
    motions[2] = mirrored
    monkeypatch.setattr(Registered, "motion", lambda self, slices: motions)
    data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("registered", folded=0.03))
    assert data.split.train.tolist() == [0, 3, 4, 5] and data.used == pytest.approx(0.8)
    motions[:] = mirrored
    with pytest.raises(InputError, match="train on none of the training slices"):
        PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("registered", folded=0.04))
