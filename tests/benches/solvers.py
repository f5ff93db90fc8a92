"""Error of the solvers of the flow denoisers against the exact solution, per number of network calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.tables import NDCT, Table, TableLine
from ipv2_bench.denoisers.iterative.fm import SOLVERS
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy

CALLS = (2, 4, 6, 10, 20, 50)

EXACT = 200
"""Euler steps of the reference that is taken as exact."""


def solvers(config: Config, progress: bool = True) -> list[dict[str, Any]]:
    """RMSE in HU against :data:`EXACT` Euler steps, per solver and number of network calls, of FM and FFM trained under IPv2."""
    lines = tuple(TableLine(NDCT, name, Strategy.from_name("IPv2")) for name in ("fm", "ffm"))
    one_seed = config.model_copy(update={"seeds": config.seeds[:1]})
    benchmark = Benchmark.open(one_seed, [Table("solvers", "solvers", False, lines, {})], progress)
    failures = benchmark.compute(progress)
    if failures:
        raise InputError(f"{failures[0].name} failed: {failures[0].message}")
    prepared = benchmark.prepared
    test = prepared.split.test[np.linspace(0, len(prepared.split.test) - 1, 4).astype(int)]
    low = torch.from_numpy(np.array(prepared.slices.low[test]))[:, None]
    errors = []
    for spec in benchmark.cells.values():
        denoiser: Any = load_denoiser(spec.weights_path)[0]

        def run(solver: str, steps: int, denoiser: Any = denoiser) -> Tensor:
            denoiser.solver, denoiser.steps = SOLVERS[solver], steps
            return denoiser.restore(low)

        exact = run("euler", EXACT)
        for solver in SOLVERS:
            calls_per_step = 1 if solver == "euler" else 2
            for calls in CALLS:
                error = (run(solver, calls // calls_per_step) - exact).double().square().mean().sqrt()
                errors.append(
                    {
                        "denoiser": spec.denoiser.title,
                        "solver": solver,
                        "network_calls": calls,
                        "rmse_hu": round(float(error) * prepared.window.width, 3),
                    }
                )
    return errors
