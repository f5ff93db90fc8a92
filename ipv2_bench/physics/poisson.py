"""Poisson counts as quantiles of uniform numbers, so that a rounding error moves one count by one and never the next draw.

A rejection sampler takes as many random numbers as its comparisons ask for: one expectation that is rounded otherwise on
another processor shifts every later draw. Here each count has a uniform number of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

SURE_RATE, SURE_DISTANCE, SURE_DEVIATIONS = 32.0, 0.04, 4.5
"""The expansion is taken without a check for an expectation of at least the first, when it is further than the second from
where it would be rounded to the next count, and within this many standard deviations. Near the first, up to two counts in 100 000
are then off by one; from 100 on, none that the tests find."""

ROUNDS = 64
"""Most steps by one count after the first guess, which is off by twelve at the most."""


def poisson_counts(expected: Tensor, generator: torch.Generator) -> Tensor:
    """Photon counts with the given expectations, any shape and floating type; one uniform number of ``generator`` for each."""
    u = torch.rand(expected.shape, generator=generator, device=expected.device, dtype=torch.float64)
    return poisson_quantile(u, expected).to(expected.dtype)


def poisson_quantile(u: Tensor, expected: Tensor) -> Tensor:
    """The smallest count k with P(K ≤ k) ≥ u for a Poisson variable K, float64; see :data:`SURE_RATE` for how exact it is.

    Parameters
    ----------
    u
        Probabilities in [0, 1); those below 1e-16 count as that.
    expected
        Expectations, at least 0, of the same shape.
    """
    rate = expected.double()
    z = torch.special.ndtri(u.clamp(1e-16, 1.0 - 1e-16))
    # Cornish and Fisher's expansion (skewness 1/√λ, excess 1/λ); its last term is of no use for small expectations.
    root, large = rate.sqrt(), rate >= SURE_RATE
    last = torch.where(large, (z - z**3) / (72.0 * root.clamp_min(1.0)), torch.zeros_like(z))
    x = rate + root * z + (z * z - 1.0) / 6.0 + last + 0.5
    counts = x.floor().clamp_min(0.0)
    distance = 0.5 - (x - x.floor() - 0.5).abs()
    unsure = ~large | (distance < SURE_DISTANCE) | (z.abs() > SURE_DEVIATIONS)
    counts[unsure] = _corrected(counts[unsure], u[unsure], rate[unsure])
    return counts


def _corrected(k: Tensor, u: Tensor, rate: Tensor) -> Tensor:
    """The quantile, from a guess that is near it."""
    for _ in range(ROUNDS):
        up = _cumulative(k, rate) < u
        down = (k > 0) & ~up & (_cumulative(k - 1.0, rate) >= u)
        if not bool((up | down).any()):
            break
        k = k + up.double() - down.double()
    return k


def _cumulative(k: Tensor, rate: Tensor) -> Tensor:
    """P(K ≤ k) = Q(k + 1, λ), the regularised upper incomplete gamma function; 0 for k < 0."""
    return torch.where(k < 0, torch.zeros_like(rate), torch.special.gammaincc(k.clamp_min(0.0) + 1.0, rate))
