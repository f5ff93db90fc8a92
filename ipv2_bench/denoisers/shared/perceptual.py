"""Distance of two images in the features of a network that was trained on photographs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench.backbones.base import backbone


def perceptual_distance(image: Tensor, target: Tensor, name: str) -> Tensor:
    """Mean over the backbone's scales of the mean squared difference of its maps; images [B, 1, H, W] in about [0, 1]."""
    network = backbone(name, str(image.device))
    with torch.no_grad():
        wanted = network(target.float())
    pairs = zip(network(image.float()), wanted, strict=True)
    return torch.stack([F.mse_loss(own, other) for own, other in pairs]).mean()
