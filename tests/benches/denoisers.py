"""Speed, memory and accuracy of the denoisers beside literal networks of the same size, in one process: ``make bench-denoisers``.

Both sides are measured in turns with the same weights and the same input; medians are reported.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.provenance import commit, processor
from ipv2_bench.denoisers import networks
from ipv2_bench.files import write_json, write_text
from ipv2_bench.physics.seeding import torch_generator
from tests.benches.denoisers_table import markdown
from tests.benches.memory import gpu_peak_mb, peak_mb
from tests.benches.sides import Side, build, in_turns, sampling, saved_mb, under
from tests.benches.solvers import solvers

NAMES = ("fm", "ffm", "cold_diffusion", "corediff")


def flops(name: str, size: int) -> tuple[float, float]:
    """GFLOP of one call of our network and of the literal one, for one slice, without transforms and elementwise work."""
    counts = []
    small = 64  # the count grows with the area, but for the few products of the time embedding
    for literal in (False, True):
        side = Side(build(name, 2), literal)
        low = torch.rand(1, 1, small, small)
        t = torch.zeros(1, dtype=torch.int64 if side.core else None)
        with FlopCounterMode(display=False) as counter:
            side.call(low, t, low, low) if side.core else side.call(low, t)
        counts.append(counter.get_total_flops() * (size / small) ** 2 / 1e9)
    return counts[0], counts[1]


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
    saved = [saved_mb(s, low, target) for s in sides] if mode == "float32" else [float("nan")] * 2
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
        line |= {"kept_mb": saved[0], "kept_mb_literal": saved[1], "kept_less": 1 - saved[0] / saved[1]}
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
    largest = max(float(g.abs().max()) for g in gradients[1])
    with torch.no_grad():
        sampled = ours.call(low, t, low, low) if ours.core else ours.call(low, t)
    return {
        "output": float((outs[0] - outs[1]).detach().abs().max() / outs[1].detach().abs().max()),
        "output_when_sampling": float((sampled - outs[1].detach()).abs().max() / outs[1].detach().abs().max()),
        "gradient": max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True)) / largest,
    }


def _write(path: Path, result: dict[str, Any]) -> None:
    result["speed"].sort(key=lambda line: (NAMES.index(line["denoiser"]), line["size"]))
    write_json(path, result)
    write_text(path.with_suffix(".md"), markdown(result))


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
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="measure again what the file already holds, as is due after a change of speed",
    )
    arguments = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    modes = ("float32", "tf32", "bf16", "bf16, compiled") if cuda else ("float32",)
    config = load_config(arguments.config) if arguments.config else None
    path = arguments.out / f"denoisers{'-cuda' if cuda else ''}.json"
    machine = {
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if cuda else "unmeasured",
        "torch": torch.__version__,
        "networks": networks.VERSION,
    }
    result: dict[str, Any] = {**machine, "agreement": {}, "speed": [], "solvers": [], "solvers_of": ""}
    if path.exists() and not arguments.fresh:
        previous = json.loads(path.read_text(encoding="utf-8"))
        if {k: previous.get(k) for k in machine} == machine:
            result = previous  # an interrupted run continues, and another one adds to it
    if config:
        result["solvers"], result["solvers_of"] = solvers(config), f"trained by {Path(arguments.config).name}"
    done = {(line["denoiser"], line["size"], line["mode"]) for line in result["speed"]}
    for name in arguments.denoisers.split(","):
        result["agreement"][name] = agreement(name)
        for size, mode in itertools.product(map(int, arguments.sizes.split(",")), modes):
            if (name, size, mode) not in done:
                repeats = arguments.repeats if size <= 256 or cuda else min(2, arguments.repeats)
                result["speed"].append({**compare(name, size, repeats, device, mode), "commit": commit()})
                print(json.dumps(result["speed"][-1]), flush=True)
            _write(path, result)
    print(markdown(result))


if __name__ == "__main__":
    main()
