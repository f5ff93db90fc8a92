"""What the weights in the package reach by dose and kernel on held-out patients: the end of ``make pretrained``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.data.source import Source
from ipv2_bench.data.sources.varied_scan import KERNELS, Drawn, VariedScan, draw
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.registry import build

DOSES = ((0.005, 0.01), (0.01, 0.02), (0.02, 0.05), (0.05, 0.1))
HALF = (0.007, 0.014)
"""About half of the 2 % that the benchmark is about."""


def _within(low: float, high: float, drawn: Drawn) -> bool:
    return low <= drawn.dose < high


def _made_with(kernel: str, drawn: Drawn) -> bool:
    return drawn.filter_name == kernel


GROUPS: dict[str, Callable[[Drawn], bool]] = {
    "all": lambda d: True,
    **{f"dose {100 * low:g} to {100 * high:g} %": partial(_within, low, high) for low, high in (*DOSES, HALF)},
    **{f"kernel {name}": partial(_made_with, name) for name in KERNELS},
}


def main() -> None:
    """Print the table, and write it beside those of the board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="those of the board")
    config = load_config("pretrained", parser.parse_args().settings)
    benchmark = Benchmark.open(config, load_tables(config))
    benchmark.require_complete()
    slices, test = benchmark.prepared.slices, benchmark.prepared.split.test
    assert slices.truth is not None
    source = build(VariedScan, Source, config.data.options, "pretrained")
    drawn = [draw(source.ranges, source.seed, *_name(slices.key[int(i)])) for i in test]
    assert np.allclose([d.pixel_mm for d in drawn], slices.pixel_mm[test]), "the draws are not those of the slices"
    truth = np.stack([slices.truth[int(i)] for i in test])
    width, seed, lines = benchmark.prepared.window.width, config.seeds[0], benchmark.tables[0].lines
    errors = {str(line.denoiser): width * _rmse(benchmark.images(line, seed).images, truth) for line in lines}
    records = []
    for name, belongs in GROUPS.items():
        chosen = [k for k, d in enumerate(drawn) if belongs(d)]
        if chosen:
            means = {key: float(np.mean(values[chosen])) for key, values in errors.items()}
            gains = {f"gain {key} %": 100 * (1 - means[key] / means["identity"]) for key in ("unet", "fm")}
            records.append({"slices": name, "number": len(chosen), **means, **gains})
    shown = [{k: v if isinstance(v, str) else f"{v:.3g}" for k, v in r.items()} for r in records]
    text = render("plain_table.md.j2", columns={k: k for k in records[0]}, rows=shown)
    write_text(config.out / "by_dose.csv", csv_text(records, digits=4))
    write_text(config.out / "by_dose.md", text)
    print(text)


def _name(key: str) -> tuple[str, int]:
    name, _, scan = key.rpartition("-scan")
    return name, int(scan)


def _rmse(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Error of each slice in units of the window, [n]."""
    return np.sqrt(((np.asarray(images, dtype=np.float64) - truth) ** 2).mean(axis=(1, 2)))


if __name__ == "__main__":
    main()
