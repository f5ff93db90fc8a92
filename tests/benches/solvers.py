"""How far the solvers of the flow denoisers are from the exact solution, per number of network calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.plan import parallelism, plan_cells, prepare
from ipv2_bench.benchmark.pool import run_cells
from ipv2_bench.benchmark.tables import Table, TableRow
from ipv2_bench.denoisers.checkpoint import load_denoiser
from ipv2_bench.denoisers.fm import SOLVERS
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy

CALLS = (2, 4, 6, 10, 20, 50)

EXACT = 200
"""Euler steps that stand for the exact solution."""


def solvers(config: Config, progress: bool = True) -> list[dict[str, Any]]:
    """RMSE in HU against :data:`EXACT` Euler steps, per solver and number of network calls, of FM and FFM trained under IPv2."""
    ready = prepare(config, progress)
    rows = tuple(TableRow("NDCT", name, Strategy.from_name("IPv2")) for name in ("fm", "ffm"))
    cells = plan_cells(ready, [Table("solvers", "solvers", "denoised", rows, {})])
    named = {
        f"{s.title} · solvers": s for k, s in cells.items() if k.denoiser in ("fm", "ffm") and k.seed == config.seeds[0]
    }
    named = {k: s for k, s in named.items() if s.strategy.name != "simulated"}
    failures = run_cells(named, parallelism(config)[0], progress)
    if failures:
        raise InputError(f"{failures[0].name} failed: {failures[0].message}")
    test = ready.split.test[np.linspace(0, len(ready.split.test) - 1, 4).astype(int)]
    low = torch.from_numpy(np.array(ready.slices.low[test]))[:, None]
    found = []
    for spec in named.values():
        denoiser: Any = load_denoiser(spec.folder / "model.safetensors")[0]

        def run(solver: str, steps: int, denoiser: Any = denoiser) -> Tensor:
            denoiser.solver, denoiser.steps = SOLVERS[solver], steps
            return denoiser.restore(low)

        exact = run("euler", EXACT)
        for solver in SOLVERS:
            each = 1 if solver == "euler" else 2
            for calls in CALLS:
                error = (run(solver, calls // each) - exact).double().square().mean().sqrt()
                found.append(
                    {
                        "denoiser": spec.title,
                        "solver": solver,
                        "network_calls": calls,
                        "rmse_hu": round(float(error) * ready.window.width, 3),
                    }
                )
    return found
