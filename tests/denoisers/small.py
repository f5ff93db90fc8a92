"""Every registered denoiser at a small size, trained for a few steps, and a pair of slices for it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from ipv2_bench import registry
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.physics.seeding import torch_generator

NAMES = registry.names("ipv2_bench.denoisers")
TRAINING_FREE = ("gaussian", "identity", "nl_means", "total_variation")
LEARNED = [name for name in NAMES if name not in TRAINING_FREE]
SMALL = {"widths": (8, 16), "width": 8, "modulator": 4, "dropout": 0.0, "steps": 3, "ema_decay": 0.0}
SMALL |= {"critic_width": 4, "critic_levels": 2}


def build(name: str, **options: object) -> Denoiser:
    """The denoiser, with what it has of the small options."""
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)
    known = registry.options(cls, Denoiser)
    return registry.build(cls, Denoiser, {k: v for k, v in {**SMALL, **options}.items() if k in known}, name)


def a_pair() -> TrainingPair:
    """Two smooth slices and the same with noise, [2, 1, 32, 32]."""
    coarse = torch.rand(2, 1, 6, 6, generator=torch_generator("coarse"))
    target = 0.2 + 0.6 * nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)
    noise = 0.15 * torch.randn(target.shape, generator=torch_generator("noise"))
    return TrainingPair((target + noise).clamp(0, 1), target)


def mean_loss(denoiser: Denoiser) -> Tensor:
    """Over the same draws each time."""
    with torch.no_grad():
        return torch.stack([denoiser.loss(a_pair(), torch_generator("evaluate", i)) for i in range(12)]).mean()


@cache
def trained(name: str) -> tuple[Denoiser, float, float]:
    """After 30 steps of Adam, so that no layer is at zero any more; with the loss before and after."""
    torch.manual_seed(0)
    denoiser = build(name)
    if name in TRAINING_FREE:
        return denoiser.eval(), 0.0, 0.0
    before = mean_loss(denoiser)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        denoiser.loss(a_pair(), torch_generator("train", step)).backward()
        optimizer.step()
    return denoiser.eval(), float(before), float(mean_loss(denoiser))
