"""Each denoiser: three training steps and one sampled slice in float64, with small networks and fixed weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers import base
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.filters import gaussian, nl_means, total_variation
from ipv2_bench.denoisers.filters.identity import Identity
from ipv2_bench.denoisers.iterative import cold_diffusion, corediff, fm
from ipv2_bench.denoisers.iterative.cold_diffusion import ColdDiffusion
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.one_pass import alden, du_gan, rddm
from ipv2_bench.denoisers.one_pass.edcnn import EDCNN
from ipv2_bench.denoisers.one_pass.red_cnn import REDCNN
from ipv2_bench.denoisers.one_pass.unet import UNetDenoiser
from ipv2_bench.physics.seeding import torch_generator
from tests.golden.golden import Part, numbers_of_defaults, summary
from tests.golden.inputs import batch, fill

NETWORKS = "ipv2_bench.denoisers.networks.VERSION"
SHARED = "ipv2_bench.denoisers.VERSION"

Patch = Callable[[pytest.MonkeyPatch], None]

UNET: dict[str, Any] = {"widths": [8, 16], "dropout": 0.0}  # dropout draws differ between builds of torch

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "fm": [{**UNET, "steps": 3}, {"widths": [8], "dropout": 0.0, "steps": 2, "solver": "heun", "channels": 3}],
    "ffm": [{**UNET, "steps": 3}, {"widths": [8], "dropout": 0.0, "steps": 2, "solver": "midpoint", "criterion": "l1"}],
    "cold_diffusion": [
        {**UNET, "steps": 4},
        {"widths": [8], "dropout": 0.0, "steps": 3, "residual": True, "channels": 3},
        {**UNET, "steps": 4, "degradation": "cosine", "end": "estimated"},
    ],
    "corediff": [
        {"width": 4, "modulator": 4, "steps": 4},
        {"width": 4, "modulator": 4, "steps": 4, "alpha": "linear", "context": 3, "modulate_stage_one": True},
        {"width": 4, "modulator": 4, "steps": 4, "rise": "bilinear"},
    ],
    "unet": [UNET, {"widths": [8, 16], "dropout": 0.0, "criterion": "l1", "zero_last": True, "padding": "symmetric"}],
    "red_cnn": [{"width": 6}, {"width": 6, "kernel": 3, "criterion": "l1"}],
    "edcnn": [{"width": 8, "perceptual": 0.0}],
    "du_gan": [
        {**UNET, "critic_width": 4, "critic_levels": 2},
        {**UNET, "critic_width": 4, "critic_levels": 3, "criterion": "l1"},
    ],
    "alden": [
        {**UNET, "critic_width": 4, "contrastive": 20.0},
        {**UNET, "critic_width": 4, "contrastive": 0.0, "pixel": 50.0, "criterion": "l2"},
    ],
    "rddm": [UNET, {**UNET, "temperatures": [0.2, 1.0], "l1": 0.01, "unshuffle": 2}],
    "nl_means": [{}, {"strength": 1.2, "patch": 3, "reach": 4}],
    "identity": [{}],
    "gaussian": [{}, {"strength": 0.8}],
    "total_variation": [{}, {"strength": 0.1}],
}


def _values(name: str) -> dict[str, Any]:
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)  # type: ignore[type-abstract]
    numbers = numbers_of_defaults({o: p.default for o, p in registry.options(cls, Denoiser).items()})
    for number, options in enumerate(OPTIONS[name], 1):
        denoiser: Any = cls(**options).double()
        fill(denoiser)
        numbers |= {f"{key}, options {number}": value for key, value in _train_and_sample(denoiser).items()}
        if denoiser.fitted:
            low, target = batch(32)
            denoiser.fit(TrainingPair(target + 0.2 * (low - low.mean()), target))
            numbers[f"strength fitted, options {number}"] = [float(denoiser.strength)]
    return numbers


def _train_and_sample(denoiser: Denoiser) -> dict[str, Any]:
    low, target = batch(32)
    pair = TrainingPair(low.expand(-1, denoiser.context, -1, -1), target)
    weights = list(denoiser.parameters())
    optimizer = denoiser.configure_optimizers() if weights else None
    losses = []
    for step in range(3):
        loss = denoiser.loss(pair, torch_generator("golden", step))
        losses.append(loss.item())
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    denoiser.eval()
    with torch.no_grad():
        sampled = denoiser.denoise(pair.input[:1], torch_generator("golden"))
    numbers: dict[str, Any] = {"losses": losses, "sampled": summary(sampled)}
    if weights:
        chosen = [weights[i] for i in (0, len(weights) // 2, -2)]
        numbers["weights"] = [x.item() for w in chosen for x in (w.detach().mean(), w.detach().norm())]
    return numbers


def _target(criterion: str) -> Patch:
    """The target of the training criterion times 1.001."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        original = base.CRITERIA[criterion]
        monkeypatch.setitem(base.CRITERIA, criterion, lambda out, target: original(out, 1.001 * target))

    return patch


def _step_of_euler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fm.SOLVERS, "euler", lambda v, x, t, h: x + 1.001 * h * v(x, t))


def _time_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fm, "at", lambda t, image: 1.001 * base.at(t, image))


def _step_of_midpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    original = fm.midpoint
    monkeypatch.setitem(fm.SOLVERS, "midpoint", lambda v, x, t, h: original(v, x, t, 1.001 * h))


def _degradation_of_cold_diffusion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_diffusion, "at", lambda t, image: 1.001 * base.at(t, image))


def _estimate_of_cold_diffusion(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ColdDiffusion.restored
    monkeypatch.setattr(ColdDiffusion, "restored", lambda self, x, t: 1.001 * original(self, x, t))


def _alpha_of_corediff(monkeypatch: pytest.MonkeyPatch) -> None:
    original = corediff.alpha_schedule
    monkeypatch.setitem(corediff.ALPHAS, "published", lambda *given: 0.999 * original(*given))


def _degradation_of_corediff(monkeypatch: pytest.MonkeyPatch) -> None:
    original = CoreDiff.degrade
    monkeypatch.setattr(CoreDiff, "degrade", lambda self, x_0, x_end, t: original(self, x_0, 1.001 * x_end, t))


def _output_of_unet(monkeypatch: pytest.MonkeyPatch) -> None:
    original = UNetDenoiser._restored
    monkeypatch.setattr(UNetDenoiser, "_restored", lambda self, x: 1.001 * original(self, x))


def _output_of_red_cnn(monkeypatch: pytest.MonkeyPatch) -> None:
    original = REDCNN._forward
    monkeypatch.setattr(REDCNN, "_forward", lambda self, x: 1.001 * original(self, x))


def _output_of_edcnn(monkeypatch: pytest.MonkeyPatch) -> None:
    original = EDCNN._forward
    monkeypatch.setattr(EDCNN, "_forward", lambda self, x: 1.001 * original(self, x))


def _drift_of_rddm(monkeypatch: pytest.MonkeyPatch) -> None:
    original = rddm.drift
    monkeypatch.setattr(rddm, "drift", lambda generated, real, t: 1.001 * original(generated, real, t))


def _gradient_of_du_gan(monkeypatch: pytest.MonkeyPatch) -> None:
    original = du_gan.sobel
    monkeypatch.setattr(du_gan, "sobel", lambda image: 1.001 * original(image))


def _contrast_of_alden(monkeypatch: pytest.MonkeyPatch) -> None:
    original = alden.contrast
    monkeypatch.setattr(alden, "contrast", lambda *given: 1.001 * original(*given))


def _noise_level_of_nl_means(monkeypatch: pytest.MonkeyPatch) -> None:
    original = nl_means.noise_level
    monkeypatch.setattr(nl_means, "noise_level", lambda image: 1.001 * original(image))


def _output_of_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    def darker(self: Identity, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return 0.999 * low

    monkeypatch.setattr(Identity, "denoise", darker)


def _output_of_filter(cls: Any) -> Patch:
    def perturb(monkeypatch: pytest.MonkeyPatch) -> None:
        original = cls.filtered
        monkeypatch.setattr(cls, "filtered", lambda self, image, strength: 0.999 * original(self, image, strength))

    return perturb


PERTURBATIONS: dict[str, dict[str, Patch]] = {
    "fm": {"velocity target": _target("l2"), "time of the path": _time_of_the_path, "step of Euler": _step_of_euler},
    "ffm": {"velocity target": _target("l1"), "step of the midpoint rule": _step_of_midpoint},
    "cold_diffusion": {"degradation": _degradation_of_cold_diffusion, "estimate": _estimate_of_cold_diffusion},
    "corediff": {"α": _alpha_of_corediff, "degradation": _degradation_of_corediff, "target": _target("l2")},
    "unet": {"target": _target("l2"), "output": _output_of_unet},
    "red_cnn": {"target": _target("l2"), "output": _output_of_red_cnn},
    "edcnn": {"output": _output_of_edcnn},
    "rddm": {"drift": _drift_of_rddm},
    "du_gan": {"target": _target("l2"), "gradient": _gradient_of_du_gan},
    "alden": {"contrast": _contrast_of_alden, "target": _target("l2")},
    "nl_means": {"noise level": _noise_level_of_nl_means},
    "identity": {"output": _output_of_identity},
    "gaussian": {"filter": _output_of_filter(gaussian.GaussianFilter)},
    "total_variation": {"filter": _output_of_filter(total_variation.TotalVariation)},
}


def _version_name(name: str) -> str:
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)  # type: ignore[type-abstract]
    return f"{cls.__module__}.{cls.__qualname__}.version"


WITHOUT_NETWORK_FILES = ("red_cnn", "edcnn", "nl_means", "identity", "gaussian", "total_variation")

PARTS = [
    Part(
        name,
        _version_name(name),
        partial(_values, name),
        PERTURBATIONS[name],
        depends_on=(SHARED,) if name in WITHOUT_NETWORK_FILES else (SHARED, NETWORKS),
        # ALDEN's backbone is in float32.
        rtol=1e-4 if name == "alden" else 1e-6,
    )
    for name in OPTIONS
]
