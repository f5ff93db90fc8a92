"""Markdown tables of the denoisers' benchmark."""

from __future__ import annotations

from typing import Any

from tests.benches.solvers import CALLS, EXACT


def markdown(result: dict[str, Any]) -> str:
    """The result as tables: speed and memory, agreement with the literal networks, error of the solvers."""
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
    text += [_speed_row(line) for line in result["speed"]]
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
        errors: dict[tuple[str, str], dict[int, float]] = {}
        for s in result["solvers"]:
            errors.setdefault((s["denoiser"], s["solver"]), {})[s["network_calls"]] = s["rmse_hu"]
        text += [f"| {d} | {s} | " + " | ".join(f"{v[c]:.3g}" for c in CALLS) + " |" for (d, s), v in errors.items()]
    return "\n".join(text) + "\n"


def _speed_row(line: dict[str, Any]) -> str:
    gflop = f"{line['gflop_per_call']:.1f} ({line['gflop_per_call_literal']:.1f})" if "gflop_per_call" in line else ""
    kept = f"{line['kept_mb']:.0f} ({line['kept_mb_literal']:.0f})" if "kept_mb" in line else ""
    peak = ""
    if line.get("sampling_peak_mb"):
        peak = f"{line['sampling_peak_mb']:.0f} ({line['sampling_peak_mb_literal']:.0f})"
    return (
        f"| {line['denoiser']} | {line['parameters_m']} | {line['size']} | {line['mode']}, batch {line['batch']} | {gflop} | "
        f"{line['training_steps_per_s']:.3g} ({line['training_steps_per_s_literal']:.3g}) | "
        f"{line['training_times_faster']:.2f}× | {kept} | "
        f"{line['seconds_per_slice']:.3g} ({line['seconds_per_slice_literal']:.3g}) | "
        f"{line['sampling_times_faster']:.2f}× | {peak} |"
    )
