"""Pretrained feature extractors: Inception v3 as clean-fid uses it, CLIP ViT-B/32, and EfficientNet-Lite0.

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

from ipv2_bench.metrics.offline_features import check_images, every_digit
from ipv2_bench.physics.intensity import to_8bit
from ipv2_bench.weights import Weights


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
        self.name, self.sha256, self.path, self.batch = weights.name, weights.sha256, path, batch
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
        from PIL import Image

        side = self.network.image_size
        side = side[0] if isinstance(side, tuple) else side
        small = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
        scaled = (small / 255.0 - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return torch.from_numpy(scaled).permute(2, 0, 1)

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
