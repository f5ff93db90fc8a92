"""The offline feature space: the same features for the same images, and unusable images refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics import offline_features
from ipv2_bench.metrics.distances.frechet import frechet_distance
from ipv2_bench.metrics.offline_features import MEMBERS, WIDTHS, RandomConvFeatures
from tests.stub_device import DEVICE, StubDevice


@pytest.fixture(scope="module")
def images(phantom: SliceSet) -> np.ndarray:
    """Seventy images [70, 48, 48] in [0, 1]: crops of the phantom."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 80, (70, 2))
    return np.stack([phantom.low[i % 6][r : r + 48, c : c + 48] for i, (r, c) in enumerate(corners)])


@pytest.fixture(scope="module")
def extractor(phantom: SliceSet) -> RandomConvFeatures:
    return RandomConvFeatures(np.array(phantom.normal[:3]))


def test_features_of_every_member_have_one_shape(extractor: RandomConvFeatures, images: np.ndarray) -> None:
    features = extractor(images)
    assert len(features) == MEMBERS
    for member in features:
        assert member.shape == (70, sum(WIDTHS[1:])) and member.dtype == np.float64
        assert np.isfinite(member).all() and (member.std(0) > 0).mean() > 0.9


def test_networks_are_the_same_every_time_and_members_differ(
    extractor: RandomConvFeatures, phantom: SliceSet, images: np.ndarray
) -> None:
    again = RandomConvFeatures(np.array(phantom.normal[:3]))
    assert again.sha256 == extractor.sha256
    for one, other in zip(extractor(images[:4]), again(images[:4]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert RandomConvFeatures(np.array(phantom.normal[3:])).sha256 != extractor.sha256
    first, second, _ = extractor(images[:4])
    assert np.abs(first - second).max() > 0.01


def test_layers_are_standardised_on_the_reference(phantom: SliceSet) -> None:
    # A standard normal passed by a ReLU has the mean 1/√(2π); pooling keeps it.
    reference = np.array(phantom.normal)
    for member in RandomConvFeatures(reference)(reference):
        start = 0
        for width in WIDTHS[1:]:
            assert 0.2 < member[:, start : start + width].mean() < 0.6
            start += width


def test_grey_level_is_hardly_seen_but_texture_is(extractor: RandomConvFeatures, phantom: SliceSet) -> None:
    calm = 0.2 + 0.5 * np.array(phantom.truth)
    # Fades out at the border, whose zero padding would show the level.
    fade = np.hanning(128)[:, None] * np.hanning(128)[None]
    brighter = (calm + 0.1 * fade).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.1, calm.shape)
    noisy = np.clip(calm + noise * fade, 0, 1).astype(np.float32)
    for one, lit, textured in zip(extractor(calm), extractor(brighter), extractor(noisy), strict=True):
        assert np.abs(lit - one).mean() < 0.1 * np.abs(textured - one).mean()


def test_more_noise_is_further_away(extractor: RandomConvFeatures, phantom: SliceSet) -> None:
    clean = np.array(phantom.truth)
    rng = np.random.default_rng(0)
    sets = [np.clip(clean + rng.normal(0, std, clean.shape), 0, 1).astype(np.float32) for std in (0.0, 0.03, 0.1)]
    near, far = (frechet_distance(extractor(clean)[0], extractor(noisy)[0]) for noisy in sets[1:])
    assert abs(frechet_distance(extractor(clean)[0], extractor(sets[0])[0])) < 1e-6 < near < far


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01, 1.01])
def test_unusable_images_are_refused(extractor: RandomConvFeatures, images: np.ndarray, bad: float) -> None:
    broken = images[:5].copy()
    broken[2, 3, 4] = bad
    with pytest.raises(ValueError, match=r"expected finite values in \[0, 1\]"):
        extractor(broken)


def test_what_training_allows_a_gpu_does_not_reach_the_features(
    extractor: RandomConvFeatures, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def activated(*arguments: torch.Tensor) -> torch.Tensor:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return activate(*arguments)

    activate = offline_features._activate
    monkeypatch.setattr(offline_features, "_activate", activated)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        extractor(images[:1])
        assert set(seen) == {(False, False)}
        assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_features_are_computed_on_the_device(phantom: SliceSet, images: np.ndarray) -> None:
    reference = np.array(phantom.normal[:3])
    on_cpu = RandomConvFeatures(reference, "cpu")(images[:2])
    with StubDevice():
        there = RandomConvFeatures(reference, str(DEVICE))
        assert all(x.device == DEVICE for layers in there._members for tensors in layers for x in tensors)
        for one, other in zip(on_cpu, there(images[:2]), strict=True):
            np.testing.assert_array_equal(one, other)
