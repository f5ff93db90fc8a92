"""Pretrained feature extractors: Inception v3 as clean-fid uses it, CLIP ViT-B/32, EfficientNet-Lite0, DINOv2 and RadImageNet.

All take slices in the same way: [0, 1] of the HU window → 8 bit (:func:`ipv2_bench.physics.intensity.to_8bit`) → three
equal channels → the extractor's own resizing, if any. On a CPU images are processed one by one, since the rounding of a batched
convolution depends on the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.metrics.offline_features import check_images, every_digit
from ipv2_bench.physics.intensity import to_8bit
from ipv2_bench.weights import Weights, sha256_of_state


class _Pretrained(ABC):
    """Base of extractors with a network from a file; a :class:`~ipv2_bench.metrics.base.FeatureExtractor`.

    Parameters
    ----------
    weights
        Entry of the file.
    path
        The file.
    batch
        Images of a forward pass on an accelerator.
    """

    def __init__(self, weights: Weights, path: Path, batch: int = 32) -> None:
        self.name, self.sha256, self.path, self.batch = weights.name, weights.sha256 or sha256_of_state(path), path, batch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def network(self) -> Any:
        """The network, loaded when the first image comes: rows only name it."""
        return self.load(self.path).to(self.device).eval()

    @abstractmethod
    def load(self, path: Path) -> Any:
        """The network in a file."""

    @abstractmethod
    def prepare(self, image: np.ndarray) -> Tensor:
        """A slice, uint8 [N, N, 3] → input of the network, [3, S, S]."""

    @abstractmethod
    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, S, S] → features [B, d]."""

    @torch.inference_mode()
    @every_digit
    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images [n, N, N] in [0, 1] → a list of one array of features [n, d], float64."""
        gray = to_8bit(check_images(images))
        step = 1 if self.device.type == "cpu" else self.batch
        features = []
        for start in range(0, len(gray), step):
            prepared = [self.prepare(np.repeat(x[..., None], 3, axis=-1)) for x in gray[start : start + step]]
            features.append(self.forward(torch.stack(prepared).to(self.device)).double().cpu().numpy())
        return [np.concatenate(features)]


class InceptionFeatures(_Pretrained):
    """The 2048 pooled features of clean-fid's Inception after clean-fid's bicubic resizing to 299×299 in float."""

    def load(self, path: Path) -> Any:
        """The network of a TorchScript file."""
        return torch.jit.load(path, map_location="cpu")

    def prepare(self, image: np.ndarray) -> Tensor:
        """The slice, resized as in clean-fid, in [0, 255]."""
        from cleanfid.resize import build_resizer

        return torch.from_numpy(build_resizer("clean")(image)).permute(2, 0, 1)

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, 299, 299] → [B, 2048]."""
        return self.network.layers((batch - 128.0) / 128.0).flatten(1)


class ClipFeatures(_Pretrained):
    """The 512 image features of OpenAI's CLIP ViT-B/32 through open_clip, in float32, not normalised."""

    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)

    def load(self, path: Path) -> Any:
        """The image side of open_clip's model with the weights of a TorchScript file."""
        from open_clip.openai import build_model_from_openai_state_dict

        state = torch.jit.load(path, map_location="cpu").state_dict()
        state.pop("attn_mask", None)  # a constant of the text side, which open_clip computes itself
        return build_model_from_openai_state_dict(state, cast_dtype=torch.float32).float().visual

    def prepare(self, image: np.ndarray) -> Tensor:
        """The slice, resized (PIL's bicubic), scaled to [0, 1] and standardised with CLIP's means and deviations."""
        side = self.network.image_size
        return _resized(image, side[0] if isinstance(side, tuple) else side, self.mean, self.std)

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, S, S] → [B, 512]."""
        return self.network(batch)


class BackboneFeatures(_Pretrained):
    """Spatial means of all maps of a backbone, each pixel of a map scaled to unit length; slices keep their size.

    Without that scaling the map with the largest numbers would be all that counts. In the end features are scaled so that those
    of an even slice have a mean square of 1. Parameters are those of the base class.
    """

    def load(self, path: Path) -> Any:
        """The backbone that is called as the weights are."""
        from ipv2_bench.backbones.base import backbone

        return backbone(self.name)

    def prepare(self, image: np.ndarray) -> Tensor:
        """The slice in [0, 1]."""
        return torch.from_numpy(image[None, :, :, 0].astype(np.float32) / 255.0)

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 1, N, N] → [B, channels of all maps]."""
        means = [F.normalize(x, dim=1).mean(dim=(2, 3)) for x in self.network(batch)]
        features = torch.cat(means, dim=1)
        return features * (features.shape[1] / len(means)) ** 0.5


SIDE = 224
"""Pixels along a side that DINOv2 and RadImageNet are given."""


class DinoFeatures(_Pretrained):
    """The class token of DINOv2 ViT-S/14 behind its last norm, 384 features, of slices of 224×224."""

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def load(self, path: Path) -> Any:
        """timm's network with the weights of Meta's file; positions are resampled to the size of the slices."""
        import timm
        from timm.models.vision_transformer import checkpoint_filter_fn

        network: Any = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=SIDE, num_classes=0)
        state = _state(path, "DINOv2 ViT-S/14")
        return _filled(network, checkpoint_filter_fn(state, network), path)

    def prepare(self, image: np.ndarray) -> Tensor:
        """The slice, resized (PIL's bicubic), scaled to [0, 1] and standardised with the means and deviations of ImageNet."""
        return _resized(image, SIDE, self.mean, self.std)

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, 224, 224] → [B, 384]."""
        return self.network(batch)


class RadImageNetFeatures(_Pretrained):
    """The 2048 pooled features of RadImageNet's ResNet-50, of slices of 224×224 in [−1, 1], as in its authors' example."""

    def load(self, path: Path) -> Any:
        """torchvision's ResNet-50 without its head; in the file its parts are numbered in their order."""
        from torch import nn
        from torchvision.models import resnet50

        network = nn.Sequential(*list(resnet50(weights=None).children())[:-1])
        state = {name.removeprefix("backbone."): tensor for name, tensor in _state(path, "RadImageNet's ResNet-50").items()}
        return _filled(network, state, path)

    def prepare(self, image: np.ndarray) -> Tensor:
        """The slice, resized (PIL's bicubic), in [−1, 1]."""
        return _resized(image, SIDE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, 224, 224] → [B, 2048]."""
        return self.network(batch).flatten(1)


def _resized(image: np.ndarray, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """A slice uint8 [N, N, 3] → [3, S, S]: resized by PIL's bicubic, scaled to [0, 1] and standardised."""
    from PIL import Image

    small = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    scaled = (small / 255.0 - np.array(mean, np.float32)) / np.array(std, np.float32)
    return torch.from_numpy(scaled).permute(2, 0, 1)


def _state(path: Path, what: str) -> dict[str, Tensor]:
    """Tensors of a file by name, without running anything that it holds."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises whatever the file makes of it
        raise InputError(
            f"{path} cannot be read as weights of {what} ({cause_of(error)}): get it again from its authors"
        ) from error


def _filled(network: Any, state: dict[str, Tensor], path: Path) -> Any:
    """A network with weights of the same names and shapes."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path} holds weights of another network: get the right one from its authors") from error
    return network
