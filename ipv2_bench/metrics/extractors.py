"""The paper's feature extractors: Inception v3 as clean-fid uses it, and CLIP ViT-B/32.

One path leads from a slice to both: [0, 1] of the HU window → 8 bit (:func:`ipv2_bench.physics.intensity.to_8bit`) → three
equal channels → the extractor's own resizing. Images are taken one by one on a CPU, since the rounding of a batched
convolution depends on the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ipv2_bench.metrics.offline_features import check_images
from ipv2_bench.metrics.weights import CLIP, INCEPTION, Weights
from ipv2_bench.physics.intensity import to_8bit


class FeatureExtractor(Protocol):
    """From images to features."""

    name: str
    """In the names of columns and in rows."""

    version: str
    """Changes when equal images would give other features."""

    sha256: str
    """Of the weights."""

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images [n, N, N] in [0, 1] → features [n, d] float64 of each member network; most have one."""
        ...


class _Pretrained(ABC):
    version = "1"

    def __init__(self, weights: Weights, path: Path, batch: int = 32) -> None:
        self.name, self.sha256, self.batch = weights.name, weights.sha256, batch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = self.load(path).to(self.device).eval()

    @abstractmethod
    def load(self, path: Path) -> Any:
        """The network in the file."""

    @abstractmethod
    def prepare(self, image: np.ndarray) -> Tensor:
        """A slice, uint8 [N, N, 3] → what the network takes, [3, S, S]."""

    @abstractmethod
    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, S, S] → features [B, d]."""

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        gray = to_8bit(check_images(images))
        step = 1 if self.device.type == "cpu" else self.batch
        found = []
        for start in range(0, len(gray), step):
            prepared = [self.prepare(np.repeat(x[..., None], 3, axis=-1)) for x in gray[start : start + step]]
            found.append(self.forward(torch.stack(prepared).to(self.device)).double().cpu().numpy())
        return [np.concatenate(found)]


class Inception(_Pretrained):
    """The 2048 pooled features of clean-fid's Inception, behind clean-fid's bicubic resizing to 299×299 in float."""

    def load(self, path: Path) -> Any:
        """Open the TorchScript file."""
        return torch.jit.load(path, map_location="cpu")

    def prepare(self, image: np.ndarray) -> Tensor:
        """Resize as clean-fid does; values stay in [0, 255]."""
        from cleanfid.resize import build_resizer

        return torch.from_numpy(build_resizer("clean")(image)).permute(2, 0, 1)

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, 299, 299] → [B, 2048]."""
        return self.network.layers((batch - 128.0) / 128.0).flatten(1)


class ClipViTB32(_Pretrained):
    """The 512 image features of OpenAI's CLIP ViT-B/32 through open_clip, in float32, not normalised."""

    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)

    def load(self, path: Path) -> Any:
        """Take the weights out of the TorchScript file and put them into open_clip's model."""
        from open_clip.openai import build_model_from_openai_state_dict

        state = torch.jit.load(path, map_location="cpu").state_dict()
        state.pop("attn_mask", None)  # a constant of the text side, which open_clip makes itself
        return build_model_from_openai_state_dict(state, cast_dtype=torch.float32).float().visual

    def prepare(self, image: np.ndarray) -> Tensor:
        """Resize (PIL's bicubic), scale to [0, 1], standardise with CLIP's means and deviations."""
        from PIL import Image

        side = self.network.image_size
        side = side[0] if isinstance(side, tuple) else side
        small = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
        scaled = (small / 255.0 - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return torch.from_numpy(scaled).permute(2, 0, 1)

    def forward(self, batch: Tensor) -> Tensor:
        """[B, 3, S, S] → [B, 512]."""
        return self.network(batch)


PRETRAINED: tuple[tuple[Weights, type[_Pretrained]], ...] = ((INCEPTION, Inception), (CLIP, ClipViTB32))
COLUMNS = {"inception": ("fid", "kid_x100"), "clip-vit-b-32": ("clip_fid_x100",)}
"""What each extractor fills."""


def pretrained() -> list[FeatureExtractor]:
    """Those of the paper's extractors whose weights are here and verified, each loaded once.

    Raises
    ------
    InputError
        When a file has the name of the weights and another content.
    """
    found = [(weights, cls, weights.find()) for weights, cls in PRETRAINED]
    for weights, cls, path in found:
        if path is not None and (weights.sha256, path) not in _LOADED:
            _LOADED[weights.sha256, path] = cls(weights, path)
    return [_LOADED[weights.sha256, path] for weights, _, path in found if path is not None]


_LOADED: dict[tuple[str, Path], FeatureExtractor] = {}


def available() -> dict[str, str]:
    """Name → SHA-256 of the extractors of :func:`pretrained`, without loading them."""
    return {weights.name: weights.sha256 for weights, _ in PRETRAINED if weights.find() is not None}
