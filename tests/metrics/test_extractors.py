"""The whole path to the paper's features, with small TorchScript files in the places of the real ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ipv2_bench.metrics import extractors
from ipv2_bench.metrics.distances import frechet_distance, kernel_replicates
from ipv2_bench.metrics.extractors import COLUMNS, ClipViTB32, Inception, available, pretrained
from ipv2_bench.metrics.measure import Measures, distances, measure
from ipv2_bench.metrics.offline_features import RandomConvFeatures
from ipv2_bench.metrics.weights import CLIP, INCEPTION, VARIABLE, Weights
from ipv2_bench.physics.intensity import Window, to_8bit


class SmallInception(nn.Module):
    """What clean-fid uses of the real file: ``layers`` from [B, 3, 299, 299] to 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(16), nn.Flatten(), nn.Linear(2048, 2048)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def small_clip() -> nn.Module:
    """CLIP with the names of OpenAI's file, tiny."""
    from open_clip.model import CLIP as Model

    model = Model(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": 1, "width": 64, "patch_size": 8},
        text_cfg={"context_length": 8, "vocab_size": 50, "width": 64, "heads": 1, "layers": 1},
        quick_gelu=True,
    )
    return model.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    torch.jit.script(SmallInception().eval()).save(folder / INCEPTION.file)
    model = small_clip()
    traced = torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), torch.zeros(1, 8, dtype=torch.long)), strict=False)
    traced.save(folder / CLIP.file)
    return folder


def same(weights: Weights, folder: Path) -> Weights:
    """The weights' entry with the hash of the small file."""
    return replace(weights, sha256=hashlib.sha256((folder / weights.file).read_bytes()).hexdigest())


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ((same(INCEPTION, folder), Inception), (same(CLIP, folder), ClipViTB32))
    monkeypatch.setattr(extractors, "PRETRAINED", small)
    monkeypatch.setenv(VARIABLE, str(folder))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((9, 40, 40)).astype(np.float32)


def test_inception_features_are_clean_fids(folder: Path, images: np.ndarray, tmp_path: Path) -> None:
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
    ours = Inception(same(INCEPTION, folder), folder / INCEPTION.file)(images)[0]
    assert ours.shape == (9, 2048) and ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_clip_features_are_open_clips(folder: Path, images: np.ndarray) -> None:
    import open_clip

    ours = ClipViTB32(same(CLIP, folder), folder / CLIP.file)
    state = {k: v for k, v in torch.jit.load(folder / CLIP.file).state_dict().items() if k != "attn_mask"}
    model = open_clip.openai.build_model_from_openai_state_dict(state, cast_dtype=torch.float32)
    transform = open_clip.image_transform(
        32, is_train=False, mean=ours.mean, std=ours.std, interpolation="bicubic", resize_mode="shortest"
    )
    pictures = [Image.fromarray(x).convert("RGB") for x in to_8bit(images)]
    prepared = torch.stack([transform(p) for p in pictures])
    ours_prepared = torch.stack([ours.prepare(np.asarray(p)) for p in pictures])
    torch.testing.assert_close(ours_prepared, prepared, rtol=0, atol=1e-5)
    with torch.inference_mode():
        theirs = model.float().encode_image(prepared).double().numpy()
    np.testing.assert_allclose(ours(images)[0], theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_features_are_bit_for_bit_the_same_at_any_batch(here: None, images: np.ndarray, batch: int) -> None:
    for extractor in [*pretrained(), RandomConvFeatures(images)]:
        whole = extractor(images)
        parts = [extractor(images[i : i + batch]) for i in range(0, len(images), batch)]
        for member, of_parts in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(member, np.concatenate(of_parts))


def test_columns_are_filled_by_the_real_extractors_alone(here: None, images: np.ndarray, tmp_path: Path) -> None:
    offline = RandomConvFeatures(images)
    one, other = (measure(x, None, Window(), offline) for x in (images, images[::-1] ** 2))
    found = distances(one, other)
    measured = {"fid", "kid_x100", "clip_fid_x100", "fd_randconv", "kid_x100_randconv"}
    further = {"fid_inf", "clip_fid_inf_x100", "fd_inf_randconv", "kid_x100_se", "kid_x100_randconv_se"}
    assert len(images) >= 8 and set(found) == measured | further
    assert found["fid"] == frechet_distance(one.features["inception"][0], other.features["inception"][0])
    clip = (x.features["clip-vit-b-32"][0] for x in (one, other))
    assert found["clip_fid_x100"] == pytest.approx(100 * frechet_distance(*clip))
    one.save(tmp_path / "m.npz")
    again = Measures.load(tmp_path / "m.npz")
    assert distances(again, other) == found
    lacks = Measures({"randconv": one.features["randconv"]}, {})
    assert {c for c in distances(lacks, other) if "_inf" not in c and "_se" not in c} == {
        "fd_randconv",
        "kid_x100_randconv",
    }
    assert all("randconv" in c for c in distances(lacks, other))
    assert {c for columns in COLUMNS.values() for c in columns} == {"fid", "kid_x100", "clip_fid_x100"}


def test_what_is_available_is_told_by_hash(here: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available() == {w.name: same(w, folder).sha256 for w in (INCEPTION, CLIP)}
    monkeypatch.setattr(extractors, "PRETRAINED", ((replace(INCEPTION, file="nowhere.pt"), Inception),))
    assert available() == {} and pretrained() == []


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8)),
        np.zeros((0, 8, 8)),
        np.full((1, 8, 8), np.nan),
        np.full((1, 8, 8), 2.0),
    ],
    ids=["8 bit", "one image", "none", "NaN", "range"],
)
def test_unusable_images_are_refused(here: None, images: np.ndarray) -> None:
    for extractor in pretrained():
        with pytest.raises(ValueError, match="expected"):
            extractor(images)


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
    extractor = Inception(INCEPTION, path)
    ours = [extractor(s)[0] for s in sets]
    assert frechet_distance(*ours) == pytest.approx(theirs, rel=1e-3)
    # With fewer images than its subsets hold, clean-fid's KID is that of the whole sets.
    kid = fid.compute_kid(
        str(tmp_path / "a"), str(tmp_path / "b"), num_workers=0, device=torch.device("cpu"), use_dataparallel=False
    )
    assert kernel_replicates(*ours, np.ones((1, 40)))[0] == pytest.approx(kid, rel=1e-3)
