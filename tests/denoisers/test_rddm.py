"""RDDM's drift and objective against the numbers of the authors' code, and the drift written out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.one_pass.rddm import RDDM, drift, drifting_loss
from ipv2_bench.physics.seeding import torch_generator

FIXTURE = Path(__file__).parents[1] / "parity" / "fixtures" / "rddm.npz"
VARIANTS = {"fine": ((1.0, 1.5), 0.0), "balanced": ((0.2, 1.0), 0.0), "smooth": ((1.0,), 0.01)}


@pytest.fixture(scope="module")
def public() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 1.5])
def test_the_drift_is_the_authors(temperature: float, public: dict[str, np.ndarray]) -> None:
    generated, real = (torch.from_numpy(public[k]) for k in ("generated", "real"))
    np.testing.assert_allclose(drift(generated, real, temperature).numpy(), public[f"drift_{temperature:g}"], atol=2e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_objective_is_the_authors(name: str, public: dict[str, np.ndarray]) -> None:
    temperatures, l1 = VARIANTS[name]
    generated, real = (torch.from_numpy(public[k]) for k in ("generated", "real"))
    generated.requires_grad_()
    loss = drifting_loss(generated, real, temperatures) + l1 * (generated - real).abs().mean()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(public[f"loss_{name}"]), rel=1e-5)
    np.testing.assert_allclose(generated.grad.numpy(), public[f"gradient_{name}"], atol=1e-7)


def test_one_image_drifts_to_its_own_residual(public: dict[str, np.ndarray]) -> None:
    generated, real = (torch.from_numpy(public[k][:1]) for k in ("generated", "real"))
    assert float(drifting_loss(generated, real, (1.0, 1.5))) == pytest.approx(float(public["loss_of_one"]), rel=1e-5)
    moved = drift(generated, real, 1.0) / (real - generated)
    assert moved.std() < 1e-5 and 0 < moved.mean() < 1


def test_the_drift_written_out() -> None:
    generated, real = (torch.randn(3, 1, 2, 4, generator=torch_generator("rddm", k), dtype=torch.float64) for k in range(2))
    own, wanted = generated.flatten(1).numpy(), real.flatten(1).numpy()
    units = [[v / math.sqrt(sum(v**2)) for v in side] for side in (own, wanted)]
    everything = np.array(units[0] + units[1] + units[0])
    scale = [math.sqrt(np.mean((column - np.mean(column)) ** 2)) for column in everything.T]
    near = [[v / scale / math.sqrt(8) for v in side] for side in units]
    k = [[math.exp(-math.dist(a, b) / 0.5) for b in near[0] + near[1]] for a in near[0]]
    rows, columns = [sum(r) for r in k], [sum(r[j] for r in k) for j in range(6)]
    k = [[k[i][j] / math.sqrt(rows[i] * columns[j]) for j in range(6)] for i in range(3)]
    for i in range(3):
        minus, plus = sum(k[i][:3]), sum(k[i][3:])
        expected = sum(k[i][3 + j] * minus * wanted[j] for j in range(3)) - sum(k[i][j] * plus * own[j] for j in range(3))
        np.testing.assert_allclose(drift(generated, real, 0.5)[i].flatten().numpy(), expected, atol=1e-10)
    # Where both sets are one, nothing drifts.
    assert drift(real, real, 0.5).abs().max() < 1e-12


def test_the_loss_is_of_residuals_in_the_networks_range() -> None:
    torch.manual_seed(0)
    denoiser = RDDM(widths=(8, 16), dropout=0.0, temperatures=(0.7,), l1=0.2)
    pair = TrainingPair(*(torch.rand(3, 1, 16, 16, generator=torch_generator("pair", k)) for k in range(2)))
    generated = 2 * (denoiser.denoise(pair.input) - pair.input)
    real = 2 * (pair.target - pair.input)
    expected = drift(generated, real, 0.7).square().mean() + 0.2 * (generated - real).abs().mean()
    assert float(denoiser.loss(pair, torch.Generator()).detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


@pytest.mark.parametrize("options", [{"temperatures": ()}, {"temperatures": (1.0, 0.0)}, {"l1": -1.0}])
def test_bad_options_are_named(options: dict) -> None:
    with pytest.raises(ValueError, match=r"temperatures are .* and l1 is"):
        RDDM(widths=(8,), **options)
