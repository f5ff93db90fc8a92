"""The paper's features from file to column, with small TorchScript files instead of the real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ipv2_bench.backbones.base import backbone
from ipv2_bench.benchmark.measuring import measuring_version
from ipv2_bench.metrics.base import FeatureExtractor, FeatureSpace
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.distances.frechet import frechet_distance
from ipv2_bench.metrics.distances.kernel import kernel_replicates
from ipv2_bench.metrics.extractors import BackboneFeatures, ClipFeatures, InceptionFeatures
from ipv2_bench.metrics.image_set import Measurements, Measuring, distances
from ipv2_bench.metrics.measures.spaces.clip import Clip
from ipv2_bench.metrics.measures.spaces.inception import Inception
from ipv2_bench.metrics.weights import CLIP, INCEPTION
from ipv2_bench.physics.intensity import to_8bit
from ipv2_bench.weights import EFFICIENTNET_LITE0, Weights
from tests.metrics.small_extractors import CLIP_SIDE, write_small_clip, write_small_inception


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def small_inception(folder: Path) -> Weights:
    return write_small_inception(folder)


@pytest.fixture(scope="module")
def small_clip(folder: Path) -> Weights:
    return write_small_clip(folder)


@pytest.fixture
def measuring(
    folder: Path, small_inception: Weights, small_clip: Weights, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> Measuring:
    """Measuring whose catalogue takes the small files for the real ones."""
    monkeypatch.setattr(Inception, "file", small_inception)
    monkeypatch.setattr(Clip, "file", small_clip)
    return Measuring(catalogue(), None, images, folder)


@pytest.fixture
def extractors(measuring: Measuring) -> dict[str, FeatureExtractor]:
    return measuring.extractors


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((9, 40, 40)).astype(np.float32)


def test_inception_features_are_clean_fids(
    folder: Path, small_inception: Weights, images: np.ndarray, tmp_path: Path
) -> None:
    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    for i, image in enumerate(to_8bit(images)):
        Image.fromarray(image).convert("RGB").save(tmp_path / f"{i}.png")
    theirs = get_files_features(
        [str(tmp_path / f"{i}.png") for i in range(len(images))],
        InceptionV3W(str(folder), download=False),
        num_workers=0,
        batch_size=4,
        device=torch.device("cpu"),
        mode="clean",
        verbose=False,
    )
    ours = InceptionFeatures(small_inception, folder / INCEPTION.file)(images)[0]
    assert ours.shape == (9, 2048) and ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_clip_features_are_open_clips(folder: Path, small_clip: Weights, images: np.ndarray) -> None:
    import open_clip

    ours = ClipFeatures(small_clip, folder / CLIP.file)
    state = {k: v for k, v in torch.jit.load(folder / CLIP.file).state_dict().items() if k != "attn_mask"}
    model = open_clip.openai.build_model_from_openai_state_dict(state, cast_dtype=torch.float32)
    transform = open_clip.image_transform(
        CLIP_SIDE, is_train=False, mean=ours.mean, std=ours.std, interpolation="bicubic", resize_mode="shortest"
    )
    pictures = [Image.fromarray(x).convert("RGB") for x in to_8bit(images)]
    prepared = torch.stack([transform(p) for p in pictures])
    ours_prepared = torch.stack([ours.prepare(np.asarray(p)) for p in pictures])
    torch.testing.assert_close(ours_prepared, prepared, rtol=0, atol=1e-5)
    with torch.inference_mode():
        theirs = model.float().encode_image(prepared).double().numpy()
    np.testing.assert_allclose(ours(images)[0], theirs, rtol=1e-3, atol=1e-4)


def test_a_network_that_losses_share_has_gradients_after_features(images: np.ndarray) -> None:
    backbone.cache_clear()  # so that it is loaded by the features
    BackboneFeatures(EFFICIENTNET_LITE0, EFFICIENTNET_LITE0.need())(images[:1])
    slices = torch.rand(1, 1, 32, 32, requires_grad=True)
    backbone("efficientnet_lite0")(slices)[-1].square().sum().backward()
    assert slices.grad is not None and slices.grad.abs().max() > 0


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_features_are_bit_for_bit_the_same_at_any_batch(
    extractors: dict[str, FeatureExtractor], images: np.ndarray, batch: int
) -> None:
    assert set(extractors) == {"inception", "clip", "randconv", "efficientnet_lite0"}
    for extractor in extractors.values():
        whole = extractor(images)
        parts = [extractor(images[i : i + batch]) for i in range(0, len(images), batch)]
        for member, of_parts in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(member, np.concatenate(of_parts))


def test_columns_are_filled_by_the_real_extractors_alone(
    measuring: Measuring, images: np.ndarray, tmp_path: Path
) -> None:
    one, other = (measuring.measure(x) for x in (images, images[::-1] ** 2))
    values = distances(one, other)
    measured = {"fid", "kid_x100", "clip_fid_x100", "fd_randconv", "kid_x100_randconv"}
    further = {"fid_inf", "clip_fid_inf_x100", "fd_inf_randconv", "kid_x100_se", "kid_x100_randconv_se"}
    of_backbone = {c.name for c in measuring.catalogue.columns.values() if c.name.endswith("_efficientnet")}
    assert len(of_backbone) == 9
    assert len(images) >= 8 and set(values) == measured | further | of_backbone | {"kid_x100_efficientnet_se"}
    assert values["fid"] == frechet_distance(one.features["inception"][0], other.features["inception"][0])
    of_clip = (x.features["clip"][0] for x in (one, other))
    assert values["clip_fid_x100"] == pytest.approx(100 * frechet_distance(*of_clip))
    one.save(tmp_path / "m.npz")
    assert distances(Measurements.load(tmp_path / "m.npz", measuring.catalogue), other) == values
    lacks = Measurements(measuring.catalogue, {"randconv": one.features["randconv"]})
    assert set(distances(lacks, other)) == {name for name in values if "randconv" in name}
    assert set(measuring.catalogue.published) == {"fid", "kid_x100", "clip_fid_x100"}


def test_only_spaces_whose_weights_are_verified_are_measured(
    measuring: Measuring,
    small_inception: Weights,
    small_clip: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = {"inception": small_inception.sha256, "clip": small_clip.sha256}
    assert {k: measuring.extractors[k].sha256 for k in expected} == expected
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Inception, "file", replace(INCEPTION, elsewhere=()))
    monkeypatch.setattr(Clip, "file", replace(CLIP, elsewhere=()))
    without = Measuring(catalogue(), None, measuring.training, tmp_path)
    assert set(without.extractors) == {"randconv", "efficientnet_lite0"}
    spaces = [m for m in without.catalogue.measures.values() if isinstance(m, FeatureSpace)]
    assert sorted(space.sha256(tmp_path) is None for space in spaces) == [False, False, True, True, True, True]


def test_measurements_are_named_by_the_weights_that_are_present(
    measuring: Measuring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = measuring_version(measuring.catalogue, folder)
    assert measuring_version(catalogue(), folder) == both
    monkeypatch.setattr(Clip, "file", replace(CLIP, file="absent.pt"))
    assert measuring_version(measuring.catalogue, folder) != both


@pytest.mark.parametrize(
    "unusable",
    [
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8)),
        np.zeros((0, 8, 8)),
        np.full((1, 8, 8), np.nan),
        np.full((1, 8, 8), 2.0),
    ],
    ids=["8 bit", "one image", "none", "NaN", "range"],
)
def test_unusable_images_are_refused(extractors: dict[str, FeatureExtractor], unusable: np.ndarray) -> None:
    assert len(extractors) == 4
    for extractor in extractors.values():
        with pytest.raises(ValueError, match="expected"):
            extractor(unusable)


def test_the_real_inception_gives_clean_fids_own_fid(tmp_path: Path, images: np.ndarray) -> None:
    path = INCEPTION.find()
    if path is None:
        pytest.skip(f"the real {INCEPTION.file} is not here: ipv2-bench check says how to get it")
    from cleanfid import fid

    rng = np.random.default_rng(1)
    sets = [rng.random((40, 64, 64)).astype(np.float32) ** p for p in (1, 1.3)]
    for name, set_ in zip("ab", sets, strict=True):
        (tmp_path / name).mkdir()
        for i, image in enumerate(to_8bit(set_)):
            Image.fromarray(image).convert("RGB").save(tmp_path / name / f"{i}.png")
    theirs = fid.compute_fid(
        str(tmp_path / "a"), str(tmp_path / "b"), num_workers=0, device=torch.device("cpu"), use_dataparallel=False
    )
    extractor = InceptionFeatures(INCEPTION, path)
    ours = [extractor(s)[0] for s in sets]
    assert frechet_distance(*ours) == pytest.approx(theirs, rel=1e-3)
    # With fewer images than its subsets hold, clean-fid's KID is that of the whole sets.
    kid = fid.compute_kid(
        str(tmp_path / "a"), str(tmp_path / "b"), num_workers=0, device=torch.device("cpu"), use_dataparallel=False
    )
    assert kernel_replicates(*ours, np.ones((1, 40)))[0] == pytest.approx(kid, rel=1e-3)
