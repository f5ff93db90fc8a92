"""Filters whose strength is chosen on training pairs: the best one is found, kept in their file, and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.filters.gaussian import GaussianFilter
from ipv2_bench.denoisers.filters.nl_means import NonLocalMeans
from ipv2_bench.denoisers.filters.total_variation import TotalVariation
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser, save_denoiser
from ipv2_bench.errors import InputError


def noisy(noise: float = 0.1) -> TrainingPair:
    """Smooth discs with white noise."""
    rng = np.random.default_rng(0)
    y, x = np.indices((64, 64)) - 31.5
    truth = np.stack([gaussian_filter((np.hypot(y - 2 * i, x) < 20).astype(float), 1.0) for i in range(3)])
    low = truth + rng.normal(0.0, noise, truth.shape)
    return TrainingPair(*(torch.from_numpy(a).float()[:, None] for a in (low, truth)))


def rmse(images: torch.Tensor, pair: TrainingPair) -> float:
    return float((images.clamp(0, 1) - pair.target).square().mean().sqrt())


@pytest.mark.parametrize("filter_class", [GaussianFilter, TotalVariation, NonLocalMeans])
def test_the_best_strength_is_found_and_kept(filter_class: type, tmp_path: Path) -> None:
    pair = noisy()
    chosen = filter_class()
    chosen.fit(pair)
    own = rmse(chosen.restore(pair.input), pair)
    assert own < 0.5 * rmse(pair.input, pair)
    for factor in (0.7, 1.4):
        assert own < rmse(filter_class(float(chosen.strength) * factor).restore(pair.input), pair)
    key = filter_class.__module__.rpartition(".")[2]
    save_denoiser(chosen, tmp_path / "f.safetensors", key, {})
    loaded, _ = load_denoiser(tmp_path / "f.safetensors")
    assert float(loaded.strength) == float(chosen.strength)
    assert torch.equal(loaded.restore(pair.input), chosen.restore(pair.input))


def test_more_noise_takes_more_smoothing() -> None:
    weak, strong = GaussianFilter(), GaussianFilter()
    weak.fit(noisy(0.05))
    strong.fit(noisy(0.3))
    assert float(weak.strength) < float(strong.strength)


def test_a_best_strength_at_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GaussianFilter, "weakest", 3.0)
    with pytest.raises(InputError, match=r"the best strength of Gaussian is 3.*, at an end of 3 to 8"):
        GaussianFilter().fit(noisy())


def test_a_strength_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        GaussianFilter(strength=0.0)
