"""DINOv2 and RadImageNet: from files in their authors' form, written by the test, to columns; absent they change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision.models import resnet50

from ipv2_bench.benchmark.measuring import measuring_version
from ipv2_bench.errors import InputError
from ipv2_bench.files import sha256_of
from ipv2_bench.folders.check.extractors import check_extractors
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.extractors import SIDE, DinoFeatures, RadImageNetFeatures
from ipv2_bench.metrics.image_set import Measuring, distances
from ipv2_bench.metrics.weights import DINOV2, RADIMAGENET
from ipv2_bench.physics.intensity import to_8bit
from tests.metrics.small_extractors import write_dinov2, write_radimagenet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_dinov2(folder)
    write_radimagenet(folder)
    return folder


@pytest.fixture(scope="module")
def networks(folder: Path) -> tuple[nn.Module, nn.Module]:
    """DINOv2 at the size that it was trained at, and a whole ResNet-50 but for its head, with the weights of the files."""
    dino = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=518, num_classes=0)
    state = torch.load(folder / DINOV2.file, weights_only=True)
    dino.load_state_dict({name: tensor for name, tensor in state.items() if name != "mask_token"})
    resnet = resnet50(weights=None)
    resnet.fc = nn.Identity()
    numbered = torch.load(folder / RADIMAGENET.file, weights_only=True)
    resnet.load_state_dict(dict(zip(resnet.state_dict(), numbered.values(), strict=True)))
    return dino.eval(), resnet.eval()


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((8, SIDE, SIDE)).astype(np.float32)


def test_features_are_those_of_the_networks_themselves(
    folder: Path, networks: tuple[nn.Module, nn.Module], images: np.ndarray
) -> None:
    dino, resnet = networks
    gray = torch.from_numpy(to_8bit(images[:2])).float()[:, None].expand(-1, 3, -1, -1) / 255.0
    mean, std = (torch.tensor(x)[:, None, None] for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    dino.set_input_size((SIDE, SIDE))  # type: ignore[operator]
    with torch.inference_mode():
        theirs = dino((gray - mean) / std), resnet(2.0 * gray - 1.0)
    extractors = DinoFeatures(DINOV2, DINOV2.need(folder)), RadImageNetFeatures(RADIMAGENET, RADIMAGENET.need(folder))
    for extractor, expected, size in zip(extractors, theirs, (384, 2048), strict=True):
        (ours,) = extractor(images[:2])
        assert ours.shape == (2, size) and extractor.sha256 == sha256_of(extractor.path)
        np.testing.assert_allclose(ours, expected.double().numpy(), rtol=1e-3, atol=1e-4)


def test_columns_are_there_where_the_files_are(folder: Path, images: np.ndarray) -> None:
    measuring = Measuring(catalogue(), None, images, folder)
    one, other = (measuring.measure(x) for x in (images, images**2))
    values = distances(one, other)
    assert {"fd_dinov2", "fd_inf_dinov2", "fd_radimagenet", "fd_inf_radimagenet"} <= values.keys()
    assert min(values[name] for name in ("fd_dinov2", "fd_radimagenet")) > 0
    assert measuring.extractors["dinov2"].sha256 == sha256_of(folder / DINOV2.file)


def test_absent_files_leave_the_names_of_measurements(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measures = catalogue()
    without, both = measuring_version(measures, tmp_path), measuring_version(measures, folder)
    assert without != both
    for name in ("dinov2", "radimagenet"):
        monkeypatch.delitem(measures.measures, name)
    assert measuring_version(measures, tmp_path) == without


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no weights", "cannot be read as weights"), (None, "holds weights of another network")],
    ids=["damaged", "another network"],
)
@pytest.mark.parametrize(("extractor", "weights"), [(DinoFeatures, DINOV2), (RadImageNetFeatures, RADIMAGENET)])
def test_a_file_that_is_not_what_its_name_says_is_named(
    extractor: type, weights: object, content: bytes | None, said: str, tmp_path: Path, images: np.ndarray
) -> None:
    path = tmp_path / "file.pth"
    if content is None:
        torch.save({"pos_embed": torch.zeros(1, 2, 2), "0.weight": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        extractor(weights, path)(images[:1])
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_check_says_where_they_belong_and_that_nobody_publishes_a_hash(folder: Path, tmp_path: Path) -> None:
    missing = check_extractors(tmp_path)
    assert "fd_dinov2: missing" in missing and f"get it: from {DINOV2.url}" in missing
    assert "its authors publish none, so it is taken as it is" in missing
    ready = check_extractors(folder)
    assert f"{sha256_of(folder / RADIMAGENET.file)}, not verified" in ready and "fd_radimagenet: ready" in ready
