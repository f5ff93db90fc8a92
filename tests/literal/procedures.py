"""Objectives and samplers of the four denoisers as formulas, over any network that is called as the literal ones are.

Images are tensors [B, C, H, W]; a network's time is a tensor [B] in the images' type.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Network = Callable[[Tensor, Tensor], Tensor]
Restorer = Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor]


def same_time(x: Tensor, t: float) -> Tensor:
    """``t`` for every slice of ``x``: [B]."""
    return torch.full((len(x),), float(t), dtype=x.dtype, device=x.device)


# FM and FFM.


def euler_states(network: Network, x: Tensor, steps: int) -> Iterator[Tensor]:
    """States after each of ``steps`` explicit Euler steps of dx/dt = network(x, t) from t = 0 to 1."""
    for step in range(steps):
        x = x + network(x, same_time(x, step / steps)) / steps
        yield x


# Cold Diffusion: D(x_0, x_T, t) = clean[t] · x_0 + degraded[t] · x_T for t = 0 … T − 1; D(x_0, x_T, −1) = x_0.


def cosine_weights(steps: int) -> tuple[Tensor, Tensor]:
    """√ᾱ and √(1 − ᾱ) for t = 0 … T − 1, float64 [T].

    ᾱ is the running product of 1 − β, and β = 1 − f(t + 1)/f(t), at most 0.999, with f(t) = cos²((t/T + 0.008)/1.008 · π/2).
    """
    share = torch.linspace(0, steps, steps + 1, dtype=torch.float64) / steps
    squared = torch.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - squared[1:] / squared[:-1]).clamp(0, 0.999)
    product = torch.cumprod(1 - beta, 0)
    return product.sqrt(), (1 - product).sqrt()


def linear_weights(steps: int) -> tuple[Tensor, Tensor]:
    """1 − (t + 1)/T and (t + 1)/T for t = 0 … T − 1, float64 [T]: the mean-preserving blend."""
    share = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    return 1 - share, share


def degraded(clean: Tensor, end: Tensor, weights: tuple[Tensor, Tensor], t: int) -> Tensor:
    """D(x_0, x_T, t); the clean image itself at t = −1."""
    return clean if t < 0 else weights[0][t].to(clean) * clean + weights[1][t].to(clean) * end


def cold_diffusion_loss(network: Network, clean: Tensor, end: Tensor, weights: tuple[Tensor, Tensor], t: int) -> Tensor:
    """Mean absolute error of the network's x̂_0 from x_t."""
    return (network(degraded(clean, end, weights, t), same_time(clean, t)) - clean).abs().mean()


def cold_diffusion_sample(
    network: Network, end: Tensor, weights: tuple[Tensor, Tensor], estimate_end: bool
) -> tuple[Tensor, Tensor]:
    """The sampled image and the first direct reconstruction R(x_T, T − 1).

    x_{t−1} = x_t − D(x̂_0, x_T, t) + D(x̂_0, x_T, t − 1); with ``estimate_end`` x_T of each step is
    (x_t − clean[t] · x̂_0) / degraded[t].
    """
    x, reconstructions = end, []
    for t in range(len(weights[0]) - 1, -1, -1):
        restored = network(x, same_time(x, t))
        reconstructions.append(restored)
        to = (x - weights[0][t].to(x) * restored) / weights[1][t].to(x) if estimate_end else end
        x = x - degraded(restored, to, weights, t) + degraded(restored, to, weights, t - 1)
    return x, reconstructions[0]


# CoreDiff: D(x_0, x_T, t) = α_t · x_0 + (1 − α_t) · x_T for t = 0 … T − 1.


def corediff_alphas(steps: int) -> Tensor:
    """1 − linspace(0, T, T)/T, at most 0.999: spaced by T/(T − 1)/T, and the last is exactly 0; float64 [T]."""
    return (1 - torch.linspace(0, steps, steps, dtype=torch.float64) / steps).clamp(0, 0.999)


def mixed(clean: Tensor, end: Tensor, alphas: Tensor, t: int) -> Tensor:
    """D(x_0, x_T, t)."""
    alpha = alphas[t].to(clean)
    return alpha * clean + (1 - alpha) * end


def corediff_loss(
    network: Restorer, clean: Tensor, end: Tensor, alphas: Tensor, t: int, only_adjust_two_step: bool
) -> Tensor:
    """Mean of both stages' mean squared errors.

    Stage 1 restores from x_t, with modulation by the ground truth where ``only_adjust_two_step`` is false and t is not the last;
    stage 2 re-degrades that estimate to t − 1 and restores again with modulation by the estimate. At t = 0 there is no stage 2.
    """
    modulated = not only_adjust_two_step and t < len(alphas) - 1
    first = network(mixed(clean, end, alphas, t), same_time(clean, t), clean if modulated else None, end)
    second = first
    if t > 0:
        second = network(mixed(first, end, alphas, t - 1), same_time(clean, t - 1), first, end)
    return ((first - clean) ** 2).mean() / 2 + ((second - clean) ** 2).mean() / 2


def corediff_states(network: Restorer, end: Tensor, alphas: Tensor) -> Iterator[Tensor]:
    """States of the sampler, not clamped; the published image is the last one, clamped to [0, 1].

    The network is modulated by its previous estimate and the given x_T, but at the first step; the x_T of the degradation is
    estimated anew from x_t and the restored image in each.
    """
    x, restored = end, None
    for t in range(len(alphas) - 1, -1, -1):
        restored = network(x, same_time(x, t), restored, end)
        alpha = alphas[t].to(x)
        estimated = (x - alpha * restored) / (1 - alpha)
        x = (
            x
            - mixed(restored, estimated, alphas, t)
            + (mixed(restored, estimated, alphas, t - 1) if t > 0 else restored)
        )
        yield x
