"""The offline feature space: untrained convolutional networks, which need no file of weights.

Their first kernels have zero mean, so they respond to texture and edges and not to grey level, and each layer is
standardised on the training NDCT. Distances in this space are never called FID: their columns carry the name ``randconv``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.physics.seeding import torch_generator

WIDTHS = (32, 64, 128, 192)
"""Channels of the four layers."""

MEMBERS = 3
"""Number of networks with kernels of their own; distances are means over them."""


C = TypeVar("C", bound=Callable[..., Any])


def every_digit(function: C) -> C:
    """A function during which a GPU multiplies with all digits and the same algorithms, whatever training has allowed it."""

    @wraps(function)
    def exact(*arguments: Any, **named: Any) -> Any:
        fast, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, False
        try:
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                return function(*arguments, **named)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = fast

    return exact  # type: ignore[return-value]


class RandomConvFeatures:
    """Features of random convolutional networks: spatial means of their layers 2–4.

    A :class:`~ipv2_bench.metrics.base.FeatureExtractor` whose ``sha256`` is that of kernels, means and deviations.

    Parameters
    ----------
    reference
        Training NDCT that standardises the layers, [n, N, N] in [0, 1].
    device
        Where features are computed; ``None`` for a GPU where there is one. Kernels, means and deviations come from the CPU on
        every machine.
    """

    def __init__(self, reference: np.ndarray, device: str | None = None) -> None:
        self._members: list[list[tuple[Tensor, Tensor, Tensor]]] = []
        images = _batch(reference)
        for member in range(MEMBERS):
            layers: list[tuple[Tensor, Tensor, Tensor]] = []
            x = images
            for level, (in_channels, out_channels) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False)):
                side = 5 if level == 0 else 3
                generator = torch_generator("randconv", member, level)
                kernel = torch.randn(out_channels, in_channels, side, side, generator=generator)
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
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._members = [[(k.to(self._device), m.to(self._device), s.to(self._device)) for k, m, s in x] for x in self._members]

    @torch.no_grad()
    @every_digit
    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images [n, N, N] in [0, 1] → one [n, d] float64 array per member network.

        Raises
        ------
        ValueError
            When the images are of another shape or type, not finite, or leave [0, 1].
        """
        features: list[list[np.ndarray]] = [[] for _ in self._members]
        for image in check_images(images):  # one by one: the rounding of a batched convolution depends on the batch
            batch = _batch(image[None]).to(self._device)
            for layers, of_member in zip(self._members, features, strict=True):
                x, means = batch, []
                for kernel, mean, std in layers:
                    x = _activate(F.conv2d(x, kernel, padding=kernel.shape[-1] // 2), mean, std)
                    means.append(x.mean(dim=(2, 3)))
                of_member.append(torch.cat(means[1:], dim=1).double().cpu().numpy())
        return [np.concatenate(of_member) for of_member in features]


def check_images(images: np.ndarray) -> np.ndarray:
    """The same images, checked to be float [n, N, N], finite and in [0, 1].

    Raises
    ------
    ValueError
        When they are not, or there is none.
    """
    if images.ndim != 3 or len(images) == 0 or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"got images {images.dtype} {images.shape}: expected float [n, N, N] in [0, 1], at least one")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"images span [{low:.3g}, {high:.3g}]: expected finite values in [0, 1]")
    return images


def _batch(images: np.ndarray) -> Tensor:
    """Images [n, N, N] as a float32 batch [n, 1, N, N]."""
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))[:, None]


def _activate(y: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """A layer's output [n, c, N, N], standardised by channel, rectified, and averaged to half of its side."""
    y = F.relu((y - mean[:, None, None]) / std[:, None, None])
    return F.avg_pool2d(y, 2)
