"""The two sides of the denoisers' benchmark: our network and the literal one, with the same weights, at one precision."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench import registry
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.physics.intensity import from_network, to_network
from tests.literal.corediff import LiteralCoreDiff
from tests.literal.names import parameters_like, with_weights_of
from tests.literal.networks import LiteralUNet
from tests.literal.procedures import corediff_states, euler_states

WIDTHS = (64, 128, 256, 512)


class Side:
    """One side of the comparison: a network, its sampler, and its weights as leaves of the graph."""

    def __init__(self, denoiser: Denoiser, literal: bool) -> None:
        self.denoiser, self.name = denoiser, "literal" if literal else "ours"
        network: nn.Module = denoiser.network  # type: ignore[assignment]
        self.weights: list[Tensor] = list(network.parameters())
        self.call: Callable[..., Tensor] = network
        self.core = hasattr(denoiser, "alpha")
        if literal:
            frequency = bool(getattr(denoiser, "frequency", False))
            plain = LiteralCoreDiff() if self.core else LiteralUNet(1, WIDTHS, frequency)
            self.call = with_weights_of(network, plain)
            self.weights = list(parameters_like(network, plain))

    def train_step(self, low: Tensor, target: Tensor) -> None:
        """Forward and backward pass of one batch; the gradients are dropped."""
        t = torch.full(
            (len(low),), 3 if self.core else 0.3, device=low.device, dtype=torch.int64 if self.core else None
        )
        out = self.call(low, t, low, low) if self.core else self.call(low, t)
        F.mse_loss(out.float(), target).backward()
        for w in self.weights:
            w.grad = None

    def sample(self, low: Tensor, steps: int) -> Tensor:
        """Denoised slices, [B, 1, H, W], after ``steps`` steps of the sampler."""
        if self.name == "ours":
            return self.denoiser.restore(low)
        if self.core:
            *_, last = corediff_states(self.call, low, self.denoiser.alpha)  # type: ignore[arg-type]
        else:
            *_, last = euler_states(self.call, to_network(low), steps)
            last = from_network(last)
        return last.clamp(0, 1)


def build(name: str, steps: int, device: torch.device | str = "cpu") -> Denoiser:
    """A denoiser of the paper's size with weights that are nowhere zero."""
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)  # type: ignore[type-abstract]
    torch.manual_seed(0)
    denoiser: Any = registry.build(cls, Denoiser, {"steps": steps}, name)
    with torch.no_grad():
        for p in denoiser.parameters():
            p.add_(0.01 * torch.randn(p.shape))
    return denoiser.to(device).eval()


def sampling(name: str, size: int, literal: bool, threads: int) -> Callable[[], Any]:
    """A function that samples one slice, with everything loaded that stays in memory."""
    torch.set_num_threads(threads)
    side = Side(build(name, 3), literal)

    def sample(size: int) -> None:
        with torch.inference_mode():
            side.sample(torch.rand(1, 1, size, size), 3)

    sample(32)
    return partial(sample, size)


@contextmanager
def numerics(mode: str, device: torch.device) -> Iterator[None]:
    """Precision of a mode: ``float32`` is strict, ``defaults`` are PyTorch's, which let cuDNN use TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = mode == "tf32", mode in ("tf32", "defaults")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=mode.startswith("bf16")):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def under(mode: str, device: torch.device, run: Callable[[], Any]) -> None:
    """Call ``run()`` at the precision of a mode."""
    with numerics(mode, device):
        run()


def in_turns(runs: list[Callable[[], Any]], repeats: int, device: torch.device) -> list[float]:
    """Median seconds of each function, called in turns, after one call each to warm up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + 1):
        for i, run in enumerate(runs):
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                seconds[i].append(time.perf_counter() - start)
    return [statistics.median(s) for s in seconds]


def saved_mb(side: Side, low: Tensor, target: Tensor) -> float:
    """Memory that the forward pass stores for the backward pass, in MB, without the weights."""
    sizes: dict[int, int] = {}

    def record(x: Tensor) -> Tensor:
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(record, lambda x: x):
        side.train_step(low, target)
    weights = {w.untyped_storage().data_ptr() for w in side.weights}
    return sum(size for pointer, size in sizes.items() if pointer not in weights) / 2**20
