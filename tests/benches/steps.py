"""Where the time of a training step goes: ``make profile CONFIG=…``."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.profilers import SimpleProfiler
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.profiler import ProfilerActivity
from torch.profiler import profile as traced

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import set_up, train
from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.provenance import commit, packages, processor
from ipv2_bench.benchmark.tasks.comparison import single_line
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.files import write_json, write_text

OPERATIONS = 12
"""Operations that are listed, the longest first."""

PARTS = {
    "reading slices": ("train_dataloader_next",),
    "to the device, purifying, cutting": (".batch_to_device",),
    "loss and its draws, without the network": (".training_step",),
    "backward": (".backward",),
    "optimiser and clipping": (".optimizer_step", ".configure_gradient_clipping"),
    "checks, history, checkpoints": (".on_train_batch_end", ".on_train_batch_start"),
}
"""Ends of the names that Lightning gives to what it times, by what they are called here."""


class NetworkClock:
    """Seconds in the networks' forward passes: of every module that a denoiser calls, with what is inside of it."""

    def __init__(self) -> None:
        self.seconds, self._depth, self._began = 0.0, 0, 0.0

    def _enter(self, module: nn.Module, _: Any) -> None:
        if not isinstance(module, Denoiser) and module.training:
            if not self._depth:
                self._began = _now()
            self._depth += 1

    def _leave(self, module: nn.Module, *_: Any) -> None:
        if not isinstance(module, Denoiser) and module.training:
            self._depth -= 1
            if not self._depth:
                self.seconds += _now() - self._began

    @contextmanager
    def running(self) -> Iterator[None]:
        """While it measures."""
        handles = [register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _now() -> float:
    """Seconds of the clock when all work of a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def cell(config: Config, denoiser: str, strategy: str) -> CellSpec:
    """The training of a configuration's denoiser, of the first fold."""
    benchmark = Benchmark.open(config, [single_line(denoiser, strategy, "flood_fill")], True)
    return next(s for s in benchmark.cells.values() if (s.denoiser.key, s.strategy.name) == (denoiser, strategy)).trainings[0]


def profile(spec: CellSpec, steps: int) -> dict[str, Any]:
    """Milliseconds of a step by part, and the longest operations; by the program's own training, without validation."""
    set_up(spec)
    _trained(spec, 3, None)  # what is made once: masks, noise, tables, compiled code
    recorded, clock = SimpleProfiler(), NetworkClock()
    with clock.running():
        began = _now()
        _trained(spec, steps, recorded)
        whole = _now() - began
    took = {name: sum(durations) for name, durations in recorded.recorded_durations.items()}

    def of(*ends: str) -> float:
        return sum(seconds for name, seconds in took.items() if name.endswith(ends))

    epoch = of("run_training_epoch")
    parts = {part: of(*ends) for part, ends in PARTS.items()}
    inside = of(".training_step") + of(".backward")
    parts["optimiser and clipping"] -= inside + of(".configure_gradient_clipping")  # the optimiser's step calls all three
    parts["loss and its draws, without the network"] -= clock.seconds
    parts = {"network, forward": clock.seconds, **parts}
    parts["Lightning and everything else"] = epoch - sum(parts.values())
    network = parts["network, forward"] + parts["backward"]
    with traced(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]) as trace:
        _trained(spec, min(steps, 20), None)
    return {
        "denoiser": spec.denoiser.title,
        "strategy": spec.strategy.name,
        "parameters": sum(p.numel() for p in spec.denoiser.build(0).parameters()),
        "size": spec.slices.size,
        "batch": spec.train.batch,
        "budget": spec.train.model_dump(mode="json", exclude={"steps", "epochs"}),
        "steps": steps,
        "step_ms": 1e3 * epoch / steps,
        "before_and_after_s": whole - epoch,
        "parts_ms": {part: 1e3 * seconds / steps for part, seconds in parts.items()},
        "outside_of_the_network": 1.0 - network / epoch,
        "operations": _operations(trace),
    }


def _trained(spec: CellSpec, steps: int, profiler: Any) -> None:
    """Train in a folder of its own, without validation."""
    settings = spec.train.model_copy(update={"steps": steps, "epochs": None})
    split = replace(spec.split, val=spec.split.val[:0])
    with tempfile.TemporaryDirectory() as folder:
        own = spec.model_copy(update={"folder": Path(folder), "train": settings, "split": split})
        train(own, lambda *_: None, profiler=profiler)


def _operations(trace: Any) -> list[dict[str, Any]]:
    """The operations that took longest, by themselves: name, calls, milliseconds, share."""
    events = trace.key_averages()
    on_device = torch.cuda.is_available()

    def own(event: Any) -> float:
        return float(event.self_device_time_total if on_device else event.self_cpu_time_total)

    total = sum(own(event) for event in events)
    longest = sorted(events, key=own, reverse=True)[:OPERATIONS]
    return [{"name": e.key, "calls": e.count, "ms": own(e) / 1e3, "share": own(e) / total} for e in longest]


def main() -> None:
    """Measure and write ``steps-CONFIG.json`` and ``steps-CONFIG.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--config", default="quick")
    parser.add_argument("--denoiser", default="fm")
    parser.add_argument("--strategy", default="IPv2")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("settings", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.settings)
    spec = cell(config, arguments.denoiser, arguments.strategy)
    result = {
        "config": config.name,
        "settings": [word for word in arguments.settings if not word.startswith(("run.", "data.root"))],
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else processor(),
        "threads": spec.threads or torch.get_num_threads(),
        "commit": commit(),
        "versions": packages(),
        **profile(spec, arguments.steps),
    }
    text = _markdown(result)
    write_json(arguments.out / f"steps-{config.name}.json", result)
    write_text(arguments.out / f"steps-{config.name}.md", text)
    print(text)


def _markdown(result: dict[str, Any]) -> str:
    r = result
    settings = f", with `{' '.join(r['settings'])}`" if r["settings"] else ""
    out = [
        f"# A training step of `{r['config']}`",
        "",
        f"{r['denoiser']} under {r['strategy']} ({r['parameters']:,} parameters), slices of {r['size']}×{r['size']}, batches of "
        f"{r['batch']}{settings}; {r['device']}, {r['threads']} thread{'s' * (r['threads'] > 1)}, {r['steps']} steps. "
        f"{100 * r['outside_of_the_network']:.1f} % of a step are outside of the network's forward and backward pass.",
        "",
        "| part | ms | % |",
        "|---|---|---|",
        *(f"| {part} | {ms:.2f} | {100 * ms / r['step_ms']:.1f} |" for part, ms in r["parts_ms"].items()),
        f"| a step | {r['step_ms']:.2f} | 100 |",
        "",
        "| operation, without what it calls | calls | ms | % |",
        "|---|---|---|---|",
        *(f"| {o['name']} | {o['calls']} | {o['ms']:.1f} | {100 * o['share']:.1f} |" for o in r["operations"]),
    ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()
