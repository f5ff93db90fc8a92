"""Markdown tables and the picture of the physics benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.views.figures import pyplot, save_figure


def markdown(result: dict[str, Any]) -> str:
    """The result as tables: speed and memory, cost, accuracy."""
    base = {x["size"]: x["slices_per_second"] for x in result["speed"] if x["method"].startswith("published")}
    text = [
        "## Add Noise",
        "",
        f"{result['views']} angles, batches of {result['batch']} (published script: one slice), medians of three to five runs; "
        f"{result['processor']}, GPU: {result['gpu']}. `ours` is in Hounsfield units; with `dose_model=published` it has the "
        "formula and geometry of the published script, and as many angles as a slice has pixels along a side.",
        "",
        "| method | device | size | slices/s | × published | peak memory MB |",
        "|---|---|---|---|---|---|",
    ]
    for x in result["speed"]:
        times = f"{x['slices_per_second'] / base[x['size']]:.1f}" if x["size"] in base else ""
        cells = (
            x["method"],
            x["device"],
            x["size"],
            f"{x['slices_per_second']:.4g}",
            times,
            round(x["peak_memory_mb"]),
        )
        text.append("| " + " | ".join(map(str, cells)) + " |")
    text += ["", *(f"Cost of {k}: N^{p} log N." for k, p in result["growth"].items())]
    share = result["share"]
    text += ["", f"Purification takes {share['share']:.1%} of a training step of FM with {share['configuration']}."]
    text += ["", "| accuracy at 512, 512 angles | |", "|---|---|"]
    text += [f"| {k} | {v:.3g} |" for k, v in result["accuracy"].items()]
    picture = "physics.png" if result["gpu"] == "unmeasured" else "physics-cuda.png"
    text += ["", f"![noise power]({picture})", "", "Noise power of FBP of white noise, cosine filter."]
    return "\n".join(text) + "\n"


def save_noise_power(spectra: dict[str, np.ndarray], path: Path) -> None:
    """Write the picture of the noise power of filtered back-projection."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(5.2, 3.4))
    axis.plot(spectra["frequency"], spectra["ours"], label="ours")
    axis.plot(spectra["frequency"], spectra["closed form"], "k--", label="closed form")
    axis.plot(spectra["frequency, scikit-image"], spectra["scikit-image"], label="scikit-image (linear interpolation)")
    axis.set(xlabel="cycles per pixel", ylabel="noise power per variance of a ray, px²")
    axis.legend(fontsize=8)
    figure.tight_layout()
    save_figure(figure, path)
