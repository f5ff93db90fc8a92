"""Small TorchScript files in the form of the real ones of Inception and CLIP, with fixed weights."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ipv2_bench.metrics.weights import CLIP, DINOV2, INCEPTION, RADIMAGENET
from ipv2_bench.weights import Weights
from tests.golden.inputs import fill

CLIP_SIDE = 32
"""Pixels along a side that the small CLIP takes."""


class SmallInception(nn.Module):
    """What clean-fid uses of the real file: ``layers`` from [B, 3, 299, 299] to 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(16), nn.Flatten(), nn.Linear(2048, 2048)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def write_small_inception(folder: Path) -> Weights:
    """Write the small Inception into a folder; its entry with the hash of the file."""
    model = SmallInception().eval()
    fill(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model).save(folder / INCEPTION.file)
    return _entry(INCEPTION, folder)


def write_small_clip(folder: Path) -> Weights:
    """Write a small CLIP, with the names of OpenAI's file, into a folder; its entry with the hash of the file."""
    from open_clip.model import CLIP as Model

    model = Model(
        embed_dim=16,
        vision_cfg={"image_size": CLIP_SIDE, "layers": 1, "width": 64, "patch_size": 8},
        text_cfg={"context_length": 8, "vocab_size": 50, "width": 64, "heads": 1, "layers": 1},
        quick_gelu=True,
    ).eval()
    fill(model.visual)
    example = (torch.zeros(1, 3, CLIP_SIDE, CLIP_SIDE), torch.zeros(1, 8, dtype=torch.long))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, example, strict=False).save(folder / CLIP.file)
    return _entry(CLIP, folder)


def write_dinov2(folder: Path) -> Weights:
    """Write weights of our own for DINOv2 ViT-S/14, with the names of Meta's file, into a folder."""
    import timm

    model = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=518, num_classes=0)
    fill(model)
    torch.save({**model.state_dict(), "mask_token": torch.zeros(1, 384)}, folder / DINOV2.file)
    return DINOV2


def write_radimagenet(folder: Path) -> Weights:
    """Write weights of our own for RadImageNet's ResNet-50, with the names of its authors' file, into a folder."""
    from torchvision.models import resnet50

    model = nn.Sequential(*list(resnet50(weights=None).children())[:-1])
    fill(model)
    (folder / RADIMAGENET.file).parent.mkdir(exist_ok=True)
    torch.save({f"backbone.{name}": tensor for name, tensor in model.state_dict().items()}, folder / RADIMAGENET.file)
    return RADIMAGENET


def _entry(weights: Weights, folder: Path) -> Weights:
    return replace(weights, sha256=hashlib.sha256((folder / weights.file).read_bytes()).hexdigest())
