"""Poisson counts are quantiles: those of SciPy, and moved by rounding errors by one count at most."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ipv2_bench.physics.poisson import poisson_counts, poisson_quantile
from ipv2_bench.physics.seeding import torch_generator

RATES = (0.0, 1e-6, 0.3, 1.0, 4.7, 31.9, 32.0, 33.3, 100.0, 1234.5, 12_000.0, 27_540.0, 1e6)


@pytest.mark.parametrize("rate", RATES)
def test_the_quantile_is_scipys(rate: float) -> None:
    rng = np.random.default_rng(round(10 * rate))
    u = np.concatenate([rng.random(200_000), [1e-12, 1e-6, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-6, 1 - 1e-12]])
    ours = poisson_quantile(torch.from_numpy(u), torch.full((len(u),), rate, dtype=torch.float64)).numpy()
    theirs = np.maximum(stats.poisson.ppf(u, rate), 0.0)  # SciPy has −1 at 0
    apart = np.abs(ours - theirs)
    assert apart.max() <= 1
    assert (apart > 0).sum() <= (4 if 32 <= rate < 100 else 0)


def test_counts_have_the_mean_and_variance_of_the_expectation() -> None:
    for rate in (0.5, 40.0, 12_000.0):
        counts = poisson_counts(torch.full((200_000,), rate), torch_generator("counts", round(rate)))
        assert float(counts.mean()) == pytest.approx(rate, abs=5 * (rate / 200_000) ** 0.5)
        assert float(counts.var()) == pytest.approx(rate, rel=0.02)


def test_a_rounding_error_moves_few_counts_and_each_by_one() -> None:
    rate = torch.rand(100_000, generator=torch_generator("rates")) * 20_000
    counts, moved = (poisson_counts(r, torch_generator("draws")) for r in (rate, rate * (1 + 1e-6)))
    differences = (moved - counts).abs()
    assert float(differences.max()) <= 1
    assert float(differences.mean()) < 0.02


def test_expectations_of_any_shape_and_precision() -> None:
    for dtype in (torch.float32, torch.float64):
        counts = poisson_counts(torch.full((2, 3, 4), 7.0, dtype=dtype), torch_generator("shape"))
        assert counts.shape == (2, 3, 4) and counts.dtype == dtype
