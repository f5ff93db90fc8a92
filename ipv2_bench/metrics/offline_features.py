"""The offline feature space: an untrained network that needs no weights from anywhere.

Its first kernels have zero mean, so they see texture and edges and no grey level, and each layer is standardised on
the training NDCT. Distances in it are never called FID: their columns carry the name ``randconv``.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.physics.seeding import torch_generator

NAME = "randconv"
WIDTHS = (32, 64, 128, 192)
MEMBERS = 3


class RandomConvFeatures:
    """Spatial means of layers 2–4 of random convolutional networks; a
    :class:`~ipv2_bench.metrics.extractors.FeatureExtractor`.

    Parameters
    ----------
    reference
        Training NDCT that standardises the layers, [n, N, N] in [0, 1].
    """

    name, version = NAME, "1"

    def __init__(self, reference: np.ndarray) -> None:
        self._members: list[list[tuple[Tensor, Tensor, Tensor]]] = []
        images = _batch(reference)
        for member in range(MEMBERS):
            layers: list[tuple[Tensor, Tensor, Tensor]] = []
            x = images
            for level, (inside, outside) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False)):
                side = 5 if level == 0 else 3
                kernel = torch.randn(outside, inside, side, side, generator=torch_generator("randconv", member, level))
                if level == 0:
                    kernel = kernel - kernel.mean(dim=(1, 2, 3), keepdim=True)
                kernel = kernel / kernel.flatten(1).norm(dim=1)[:, None, None, None]
                y = F.conv2d(x, kernel, padding=side // 2)
                mean, std = y.mean(dim=(0, 2, 3)), y.std(dim=(0, 2, 3)).clamp_min(1e-6)
                layers.append((kernel, mean, std))
                x = _activate(y, mean, std)
            self._members.append(layers)
        digest = hashlib.sha256()
        for layers in self._members:
            for tensors in layers:
                for tensor in tensors:
                    digest.update(tensor.numpy().tobytes())
        self.sha256 = digest.hexdigest()

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images [n, N, N] in [0, 1] → one [n, d] float64 array per member network.

        Raises
        ------
        ValueError
            When the images are of another shape or type, not finite, or leave [0, 1].
        """
        found: list[list[np.ndarray]] = [[] for _ in self._members]
        for image in check_images(images):  # one by one: the rounding of a batched convolution depends on the batch
            first = _batch(image[None])
            for layers, out in zip(self._members, found, strict=True):
                x, means = first, []
                for kernel, mean, std in layers:
                    x = _activate(F.conv2d(x, kernel, padding=kernel.shape[-1] // 2), mean, std)
                    means.append(x.mean(dim=(2, 3)))
                out.append(torch.cat(means[1:], dim=1).double().numpy())
        return [np.concatenate(parts) for parts in found]


def check_images(images: np.ndarray) -> np.ndarray:
    """The images, if they are float [n, N, N], finite and in [0, 1].

    Raises
    ------
    ValueError
        Otherwise.
    """
    if images.ndim != 3 or len(images) == 0 or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"got images {images.dtype} {images.shape}: expected float [n, N, N] in [0, 1], at least one")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"images span [{low:.3g}, {high:.3g}]: expected finite values in [0, 1]")
    return images


def _batch(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))[:, None]


def _activate(y: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    y = F.relu((y - mean[:, None, None]) / std[:, None, None])
    return F.avg_pool2d(y, 2)
