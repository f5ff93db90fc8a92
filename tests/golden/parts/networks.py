"""The networks that denoisers share, and the base class: float64, small, with fixed weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ipv2_bench.data.pair import Pair, TrainingPair
from ipv2_bench.denoisers import base
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.networks import corediff_unet, frequency_mixer, unet
from ipv2_bench.denoisers.networks.corediff_unet import CoreDiffUNet
from ipv2_bench.denoisers.networks.embedding import SinusoidalEmbedding
from ipv2_bench.denoisers.networks.unet import UNet
from tests.golden.golden import Part, summary
from tests.golden.inputs import batch, fill


def _networks() -> dict[str, Any]:
    low, normal = batch(32)
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    steps = torch.tensor([1, 3])
    numbers: dict[str, Any] = {}
    for name, network in (
        ("U-Net", UNet([8, 16], dropout=0.0, time_scale=100.0)),
        ("U-Net of FFM", UNet([8, 16], frequency=True, dropout=0.0, unshuffle=2)),
    ):
        numbers |= _forward_and_backward(name, network.double(), lambda net, x: net(x, t), low)
    core = CoreDiffUNet(width=8, context=1, modulator=4).double()
    numbers |= _forward_and_backward("CoreDiff's network", core, lambda net, x: net(x, steps, normal, low), low)
    with torch.no_grad():
        numbers["CoreDiff's network when sampling"] = summary(core(low, steps, normal, low))
        numbers["CoreDiff's network without modulation"] = summary(core(low, steps, None, low))
    return numbers


def _forward_and_backward(name: str, network: nn.Module, call: Any, x: Tensor) -> dict[str, Any]:
    fill(network)
    inputs = [x.clone().requires_grad_(True), *network.parameters()]
    out = call(network, inputs[0])
    gradients = torch.autograd.grad(out.square().mean(), inputs)
    chosen = (gradients[0], gradients[1], gradients[len(gradients) // 2], gradients[-2])
    return {name: summary(out), f"{name}, gradients": [g.norm().item() for g in chosen]}


def _first_weights() -> dict[str, Any]:
    """Norms of the weights that a seed draws, in float32 as in training."""
    numbers: dict[str, Any] = {}
    for name, build in (
        ("U-Net", lambda: UNet([8, 16])),
        ("U-Net, last layer of zeros", lambda: UNet([8, 16], zero_last=True)),
        ("U-Net of FFM", lambda: UNet([8, 16], frequency=True)),
        ("CoreDiff's network", lambda: CoreDiffUNet(width=8, modulator=4)),
    ):
        torch.manual_seed(0)
        weights = [w.detach().double() for w in build().parameters()]
        numbers[name] = [
            len(weights),
            sum(w.numel() for w in weights),
            torch.cat([w.flatten() for w in weights]).norm().item(),
        ]
        numbers[f"{name}, first and last"] = [w.norm().item() for w in (weights[0], weights[2], weights[-2])]
    return numbers


class _Drawing(Denoiser):
    """A denoiser whose loss shows what is drawn, and whose images show how slices are padded."""

    divisor = 8

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Draws of the generator that is given and of torch's own."""
        return torch.rand(1, generator=generator).sum() + 10.0 * torch.rand(1).sum()

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The slices less their means, which padding changes, and a draw."""
        draw = torch.rand(1, generator=generator).item() if generator is not None else 0.0
        return low - 0.5 * low.mean(dim=(1, 2, 3), keepdim=True) + 0.1 * draw


def _base() -> dict[str, Any]:
    low, normal = batch(32, torch.float32)
    shares = {}
    for schedule, warmup in (("cosine", 0), ("cosine", 3), ("constant", 4)):
        denoiser = _Drawing(schedule=schedule, warmup=warmup)
        shares[f"learning rate, {schedule}, warmup {warmup}"] = [denoiser._share_of_lr(step, 10) for step in range(11)]
    progress = SimpleNamespace(total=SimpleNamespace(processed=5))
    fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    losses = []
    denoiser = _Drawing(seed=3)
    denoiser.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    state = torch.get_rng_state()
    for rank in (0, 1):
        trainer: Any = SimpleNamespace(fit_loop=fit_loop, global_rank=rank)
        denoiser._trainer = trainer
        losses.append(denoiser.training_step(TrainingPair(low, normal), 0).item())
    torch.set_rng_state(state)
    pair = Pair(low[..., :29, :26], low, low, torch.ones(2), torch.tensor([4, 9]))
    index, images = denoiser.predict_step(pair, 0)
    criteria = [criterion(low, normal).item() for criterion in base.CRITERIA.values()]
    return {**shares, "draws in training": losses, "criteria": criteria, "index": index, "restored": summary(images)}


def _normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    original = unet.norm_act
    monkeypatch.setattr(unet, "norm_act", lambda *given: 1.001 * original(*given))


def _refinement(monkeypatch: pytest.MonkeyPatch) -> None:
    original = unet.Refine.forward
    monkeypatch.setattr(unet.Refine, "forward", lambda self, h, x: original(self, 1.001 * h, x))


def _phase(monkeypatch: pytest.MonkeyPatch) -> None:
    original = frequency_mixer.amplitude_and_phase
    monkeypatch.setattr(frequency_mixer, "amplitude_and_phase", lambda x: (original(x)[0], 1.001 * original(x)[1]))


def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    original = SinusoidalEmbedding.forward
    monkeypatch.setattr(SinusoidalEmbedding, "forward", lambda self, t: original(self, 1.001 * t))


def _upsampling(monkeypatch: pytest.MonkeyPatch) -> None:
    original = unet.upsample_conv
    monkeypatch.setattr(unet, "upsample_conv", lambda x, weight, bias: original(x, 1.001 * weight, bias))


def _modulation(monkeypatch: pytest.MonkeyPatch) -> None:
    original = corediff_unet._features
    monkeypatch.setattr(
        corediff_unet, "_features", lambda modulations, error: tuple(1.001 * f for f in original(modulations, error))
    )


def _zeroed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly(conv: nn.Conv2d) -> nn.Conv2d:
        nn.init.constant_(conv.weight, 1e-3)
        return conv

    monkeypatch.setattr(unet, "zeroed", nearly)


def _schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Denoiser._share_of_lr
    monkeypatch.setattr(Denoiser, "_share_of_lr", lambda self, step, total: 1.001 * original(self, step, total))


def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = base.derive_seed
    monkeypatch.setattr(base, "derive_seed", lambda *key: original(*key, 0))


def _padding(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(x: Tensor, pad: Any, mode: str = "constant") -> Tensor:
        return nn.functional.pad(x, pad)

    monkeypatch.setattr(base, "F", SimpleNamespace(pad=zeros, mse_loss=None, l1_loss=None))


PARTS = [
    Part(
        "networks",
        "ipv2_bench.denoisers.networks.VERSION",
        _networks,
        {
            "normalisation": _normalisation,
            "phase": _phase,
            "time": _time,
            "upsampling": _upsampling,
            "modulation": _modulation,
            "refinement": _refinement,
        },
        rtol=1e-6,
    ),
    Part(
        "networks_first_weights",
        "ipv2_bench.denoisers.networks.VERSION",
        _first_weights,
        {"last layer": _zeroed},
        rtol=1e-5,
    ),
    Part(
        "denoisers_shared",
        "ipv2_bench.denoisers.VERSION",
        _base,
        {"learning rate": _schedule, "seed": _seed, "padding": _padding},
        rtol=1e-5,
    ),
]
