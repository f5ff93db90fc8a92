"""Speed, memory and accuracy of the denoisers beside literal networks of the same size, in one process: ``make bench-denoisers``.

Both sides are measured in turns with the same weights and the same input; what is reported are medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ipv2_bench import registry
from ipv2_bench.benchmark.bench_solvers import CALLS, EXACT, solvers
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.literal import (
    LiteralCoreDiffUNet,
    LiteralUNet,
    literal_corediff_sampler,
    literal_euler_sampler,
)
from ipv2_bench.benchmark.memory import gpu_peak_mb, peak_mb
from ipv2_bench.benchmark.provenance import commit, processor
from ipv2_bench.data.slices import write_whole
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.fingerprint import code
from ipv2_bench.physics.intensity import from_network, to_network
from ipv2_bench.physics.seeding import torch_generator

NAMES = ("fm", "ffm", "cold_diffusion", "corediff")
WIDTHS = (64, 128, 256, 512)


class Side:
    """One side of the comparison: a network, its sampler, and its weights as leaves."""

    def __init__(self, denoiser: Denoiser, literal: bool) -> None:
        self.denoiser, self.name = denoiser, "literal" if literal else "ours"
        network: nn.Module = denoiser.network  # type: ignore[assignment]
        self.weights: list[Tensor] = list(network.parameters())
        self.call: Callable[..., Tensor] = network
        self.core = hasattr(denoiser, "alpha")
        if literal:
            state = {k: v.detach().clone().requires_grad_(True) for k, v in network.state_dict().items()}
            self.weights = list(state.values())
            frequency = bool(getattr(denoiser, "frequency", False))
            self.call = LiteralCoreDiffUNet(state) if self.core else LiteralUNet(state, WIDTHS, frequency)

    def train_step(self, low: Tensor, target: Tensor) -> None:
        """Forward and backward pass of one batch; gradients are dropped."""
        t = torch.full(
            (len(low),), 3 if self.core else 0.3, device=low.device, dtype=torch.int64 if self.core else None
        )
        made = self.call(low, t, low, low) if self.core else self.call(low, t)
        F.mse_loss(made.float(), target).backward()
        for w in self.weights:
            w.grad = None

    def sample(self, low: Tensor, steps: int) -> Tensor:
        """Denoise with some steps of the sampler."""
        if self.name == "ours":
            return self.denoiser.restore(low)
        if isinstance(self.call, LiteralCoreDiffUNet):
            return literal_corediff_sampler(self.call, low, self.denoiser.alpha.to(low.dtype))  # type: ignore[union-attr, operator, arg-type]
        return from_network(literal_euler_sampler(self.call, to_network(low), steps)).clamp(0, 1)  # type: ignore[arg-type]


def build(name: str, steps: int, device: torch.device | str = "cpu") -> Denoiser:
    """A denoiser of the paper's size with weights that are nowhere zero."""
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)  # type: ignore[type-abstract]
    torch.manual_seed(0)
    denoiser: Any = registry.build(cls, Denoiser, {"steps": steps}, name)
    with torch.no_grad():
        for p in denoiser.parameters():
            p.add_(0.01 * torch.randn(p.shape))
    return denoiser.to(device).eval()


def in_turns(sides: list[Callable[[], Any]], repeats: int, device: torch.device) -> list[float]:
    """Median seconds of each, after one call to warm up."""
    taken: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + 1):
        for i, run in enumerate(sides):
            if device.type == "cuda":
                torch.cuda.synchronize()
            begun = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                taken[i].append(time.perf_counter() - begun)
    return [statistics.median(t) for t in taken]


@contextmanager
def numerics(mode: str, device: torch.device) -> Iterator[None]:
    """Precision of a mode: ``float32`` is strict, ``defaults`` are PyTorch's, which let cuDNN take TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = mode == "tf32", mode in ("tf32", "defaults")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=mode.startswith("bf16")):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def under(mode: str, device: torch.device, run: Callable[[], Any]) -> None:
    """Run under the precision of a mode."""
    with numerics(mode, device):
        run()


def kept_mb(side: Side, low: Tensor, target: Tensor) -> float:
    """What the forward pass keeps for the backward pass, in MB, the weights left out."""
    seen: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        side.train_step(low, target)
    own = {w.untyped_storage().data_ptr() for w in side.weights}
    return sum(n for place, n in seen.items() if place not in own) / 2**20


def flops(name: str, size: int) -> tuple[float, float]:
    """GFLOP of one call of our network and of the literal one, for one slice; transforms and elementwise work left out."""
    found = []
    small = 64  # all of it grows with the area, but for the few products of the time embedding
    for literal in (False, True):
        side = Side(build(name, 2), literal)
        low = torch.rand(1, 1, small, small)
        t = torch.zeros(1, dtype=torch.int64 if side.core else None)
        with FlopCounterMode(display=False) as counter:  # with gradients on, so without Winograd's form
            side.call(low, t, low, low) if side.core else side.call(low, t)
        found.append(counter.get_total_flops() * (size / small) ** 2 / 1e9)
    return found[0], found[1]


def sampling(name: str, size: int, literal: bool, threads: int) -> Callable[[], Any]:
    """Work that samples one slice, with everything loaded that stays."""
    torch.set_num_threads(threads)
    side = Side(build(name, 3), literal)

    def work(size: int) -> None:
        with torch.inference_mode():
            side.sample(torch.rand(1, 1, size, size), 3)

    work(32)
    return partial(work, size)


def compare(name: str, size: int, repeats: int, device: torch.device, mode: str = "float32") -> dict[str, Any]:
    """Both sides of one denoiser at one size; on a GPU the literal one under PyTorch's defaults, but for ``float32``."""
    full: Any = build(name, {"cold_diffusion": 50}.get(name, 10))
    cuda = device.type == "cuda"
    calls, batch, sampled = full.network_calls, *((2, 8) if cuda else (1, 1))
    few = 3 if name == "corediff" else 1
    denoiser = build(name, few, device)
    sides = [Side(denoiser, literal) for literal in (False, True)]
    if mode.endswith("compiled"):
        denoiser.compile_networks()
    low = torch.rand(batch, 1, size, size, generator=torch_generator("low")).to(device)
    target = torch.rand(batch, 1, size, size, generator=torch_generator("target")).to(device)
    slices = torch.rand(sampled, 1, size, size, generator=torch_generator("low")).to(device)
    modes = (mode, mode if mode == "float32" else "defaults")
    train: list[Callable[[], Any]] = [
        partial(under, m, device, partial(s.train_step, low, target)) for m, s in zip(modes, sides, strict=True)
    ]
    sample: list[Callable[[], Any]] = [
        partial(under, m, device, partial(s.sample, slices, few)) for m, s in zip(modes, sides, strict=True)
    ]
    training = in_turns(train, repeats, device)
    training_peak = [gpu_peak_mb(run) for run in train] if cuda else []
    sampling_peak: list[float | None] = []
    kept = [kept_mb(s, low, target) for s in sides] if mode == "float32" else [float("nan")] * 2
    with torch.inference_mode():
        denoising = in_turns(sample, repeats, device)
        if cuda:
            sampling_peak += [gpu_peak_mb(run) for run in sample]
    line: dict[str, Any] = {
        "denoiser": name,
        "size": size,
        "mode": mode,
        "batch": batch,
        "sampling_batch": sampled,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "parameters_m": round(sum(p.numel() for p in denoiser.parameters()) / 1e6, 2),
        "network_calls": calls,
        "training_steps_per_s": 1 / training[0],
        "training_steps_per_s_literal": 1 / training[1],
        "training_times_faster": training[1] / training[0],
        # A call costs the same at every step; the sampler was run with a few.
        "seconds_per_slice": denoising[0] / few * calls / sampled,
        "seconds_per_slice_literal": denoising[1] / few * calls / sampled,
        "sampling_times_faster": denoising[1] / denoising[0],
    }
    if mode == "float32":
        line["gflop_per_call"], line["gflop_per_call_literal"] = flops(name, size)
        line |= {"kept_mb": kept[0], "kept_mb_literal": kept[1], "kept_less": 1 - kept[0] / kept[1]}
    if cuda:
        line["training_peak_mb"], line["training_peak_mb_literal"] = training_peak
    else:
        sampling_peak += [peak_mb(sampling, name, size, literal, torch.get_num_threads()) for literal in (False, True)]
    line["sampling_peak_mb"], line["sampling_peak_mb_literal"] = sampling_peak
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}


def agreement(name: str, size: int = 64) -> dict[str, float]:
    """Largest difference of one call and of its gradients to the literal network in float64, relative to the largest value."""
    denoiser = build(name, 3).double()
    ours, literal = (Side(denoiser, which) for which in (False, True))
    low = torch.rand(1, 1, size, size, dtype=torch.float64, generator=torch_generator("low"))
    t = torch.full((1,), 2 if ours.core else 0.3, dtype=torch.int64 if ours.core else torch.float64)
    outs = [s.call(low, t, low, low) if s.core else s.call(low, t) for s in (ours, literal)]
    gradients = [torch.autograd.grad(o.square().mean(), s.weights) for o, s in zip(outs, (ours, literal), strict=True)]
    size_of = max(float(g.abs().max()) for g in gradients[1])
    with torch.no_grad():  # sampling takes Winograd's form
        sampled = ours.call(low, t, low, low) if ours.core else ours.call(low, t)
    return {
        "output": float((outs[0] - outs[1]).detach().abs().max() / outs[1].detach().abs().max()),
        "output_when_sampling": float((sampled - outs[1].detach()).abs().max() / outs[1].detach().abs().max()),
        "gradient": max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True)) / size_of,
    }


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    text = [
        "## The denoisers beside literal networks of the same size",
        "",
        f"{result['processor']}; GPU: {result['gpu']}; torch {result['torch']}. Medians, both sides "
        "in turns in one process; the paper's sizes; seconds per slice are those of one network call within the sampler times "
        "the calls. GFLOP of convolutions and products, without transforms. Memory: kept for the backward pass by one training "
        "step; peak of sampling above the loaded network. On a GPU training takes batches of 2 and sampling of 8, and the "
        "literal network runs under PyTorch's defaults, but in float32.",
        "",
        "| denoiser | M parameters | size | mode | GFLOP a call (literal) | training steps/s (literal) | | kept MB (literal) | "
        "s per slice (literal) | | peak MB (literal) |",
        "|" + "---|" * 11,
    ]
    for line in result["speed"]:
        gflop = (
            f"{line['gflop_per_call']:.1f} ({line['gflop_per_call_literal']:.1f})" if "gflop_per_call" in line else ""
        )
        kept = f"{line['kept_mb']:.0f} ({line['kept_mb_literal']:.0f})" if "kept_mb" in line else ""
        peak = (
            f"{line['sampling_peak_mb']:.0f} ({line['sampling_peak_mb_literal']:.0f})"
            if line.get("sampling_peak_mb")
            else ""
        )
        text.append(
            f"| {line['denoiser']} | {line['parameters_m']} | {line['size']} | {line['mode']}, batch {line['batch']} | {gflop} | "
            f"{line['training_steps_per_s']:.3g} ({line['training_steps_per_s_literal']:.3g}) | "
            f"{line['training_times_faster']:.2f}× | {kept} | "
            f"{line['seconds_per_slice']:.3g} ({line['seconds_per_slice_literal']:.3g}) | "
            f"{line['sampling_times_faster']:.2f}× | {peak} |"
        )
    text += ["", "Largest difference to the literal network in float64, relative to the largest value:", ""]
    text += ["| denoiser | output | output when sampling | gradients |", "|---|---|---|---|"]
    text += [
        f"| {name} | {a['output']:.1e} | {a['output_when_sampling']:.1e} | {a['gradient']:.1e} |"
        for name, a in result["agreement"].items()
    ]
    if result["solvers"]:
        text += ["", f"RMSE in HU against {EXACT} Euler steps, {result['solvers_of']}:", ""]
        text += [
            "| denoiser | solver | " + " | ".join(f"{c} calls" for c in CALLS) + " |",
            "|---|---|" + "---|" * len(CALLS),
        ]
        lines = {(s["denoiser"], s["solver"]): {} for s in result["solvers"]}  # type: dict[tuple[str, str], dict[int, float]]
        for s in result["solvers"]:
            lines[s["denoiser"], s["solver"]][s["network_calls"]] = s["rmse_hu"]
        text += [f"| {d} | {s} | " + " | ".join(f"{v[c]:.3g}" for c in CALLS) + " |" for (d, s), v in lines.items()]
    return "\n".join(text) + "\n"


def _write(path: Path, result: dict[str, Any]) -> None:
    result["speed"].sort(key=lambda line: (NAMES.index(line["denoiser"]), line["size"]))
    write_whole(path, lambda f: f.write((json.dumps(result, indent=1) + "\n").encode()))
    write_whole(path.with_suffix(".md"), lambda f: f.write(markdown(result).encode()))


def main() -> None:
    """Measure, and write ``denoisers.json`` and ``denoisers.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--sizes", default="128,256,512", help="comma-separated (default: %(default)s)")
    parser.add_argument("--denoisers", default=",".join(NAMES), help="comma-separated (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement up to 256; at 512 two on a CPU")
    parser.add_argument(
        "--config", default="experiments/quick.yaml", help="trains FM and FFM for the solvers; empty: leave out"
    )
    parser.add_argument("--fresh", action="store_true", help="measure again what the file already holds")
    given = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    modes = ("float32", "tf32", "bf16", "bf16, compiled") if cuda else ("float32",)
    config = replace(load_config(given.config)) if given.config else None
    path = given.out / f"denoisers{'-cuda' if cuda else ''}.json"
    where = {
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if cuda else "unmeasured",
        "torch": torch.__version__,
        "networks": code("denoisers/networks", "benchmark/literal.py"),
    }
    result: dict[str, Any] = {**where, "agreement": {}, "speed": [], "solvers": [], "solvers_of": ""}
    if path.exists() and not given.fresh:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {k: kept.get(k) for k in where} == where:
            result = kept  # an interrupted run goes on, and another adds to it
    if config:
        result["solvers"], result["solvers_of"] = solvers(config), f"trained by {Path(given.config).name}"
    done = {(line["denoiser"], line["size"], line["mode"]) for line in result["speed"]}
    for name in given.denoisers.split(","):
        result["agreement"][name] = agreement(name)
        for size, mode in itertools.product(map(int, given.sizes.split(",")), modes):
            if (name, size, mode) not in done:
                repeats = given.repeats if size <= 256 or cuda else min(2, given.repeats)
                result["speed"].append({**compare(name, size, repeats, device, mode), "commit": commit()})
                print(json.dumps(result["speed"][-1]), flush=True)
            _write(path, result)
    print(markdown(result))


if __name__ == "__main__":
    main()
