"""Which part of the images a distance comes from: the aligned truth is put in, region by region."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.measuring import feature_extractor
from ipv2_bench.benchmark.plan import check, plan_cells, prepare
from ipv2_bench.benchmark.reproduce import cell_name
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.anatomy import regions, rim
from ipv2_bench.metrics.distances import frechet_distance
from ipv2_bench.metrics.offline_features import NAME

PARTS = ("rim", "background", "lung", "tissue")


def attribute(config: Config, denoisers: tuple[str, ...] = (), progress: bool = True) -> str:
    """Attribute the distances of Table 1's cells to regions.

    Each part of every denoised slice (the rim of the body, and background, lung and tissue without it) is replaced by the
    aligned truth and the distance to the NDCT is measured anew: by how much it falls is what that part adds to it.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed, on data whose truth is known.
    denoisers
        Registry keys; all of Table 1 when empty.
    progress
        Show a progress bar.

    Returns
    -------
    str
        A Markdown table, a line per cell, which also lies as ``attribution.csv`` and ``.md`` beside the tables.

    Raises
    ------
    InputError
        When the truth is not known, or a cell is not complete.
    """
    tables = load_tables(config, [1])
    check(config, tables)
    ready = prepare(config, progress)
    if ready.slices.truth is None:
        raise InputError(f"data.source {config.data.source} knows no truth: use phantom or virtual_scan")
    cells = {k: s for k, s in plan_cells(ready, tables).items() if not denoisers or k.denoiser in denoisers}
    missing = [cell_name(k, s) for k, s in cells.items() if not s.done]
    if not cells:
        raise InputError(f"denoisers {', '.join(denoisers)} are not in Table 1: name some that are")
    if missing:
        raise InputError(f"{missing[0]} is not complete: run ipv2-bench reproduce with the same settings first")
    test = ready.split.test
    truth, normal = np.array(ready.slices.truth[test]), np.array(ready.slices.normal[test])
    borders = np.stack([rim(t) for t in truth])
    found = [regions(t, ready.window) for t in truth]
    masks = {"rim": borders} | {k: np.stack([f[k] for f in found]) & ~borders for k in PARTS[1:]}
    extract = feature_extractor(ready.slices, ready.split)
    reference = extract(normal)

    def distance(images: np.ndarray) -> float:
        return float(np.mean([frechet_distance(a, b) for a, b in zip(extract(images), reference, strict=True)]))

    lines = []
    for key, spec in tqdm(cells.items(), disable=not progress, desc="cells", unit="cell"):
        images = np.load(spec.folder / "denoised.npy", allow_pickle=False)
        error = (images - truth) * ready.window.width
        line: dict[str, str | int | float] = {
            "denoiser": key.denoiser,
            "strategy": spec.strategy.name,
            "seed": key.seed,
        }
        line[f"fd_{NAME}"] = distance(images)
        for part, mask in masks.items():
            line[f"fd_{NAME}_true_{part}"] = distance(np.where(mask, truth, images))
        line |= {f"rmse_hu_{part}": float(np.sqrt((error[mask] ** 2).mean())) for part, mask in masks.items()}
        line |= {f"bias_hu_{part}": float(error[mask].mean()) for part, mask in masks.items()}
        lines.append({k: v if not isinstance(v, float) else float(f"{v:.3g}") for k, v in line.items()})
    return _write(lines, Path(config.run.out) / config.name)


def _write(lines: list[dict[str, str | int | float]], out: Path) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    head = [k.replace(f"fd_{NAME}", "FD").replace("_true_", ", true ").replace("_hu_", " ") for k in lines[0]]
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    text += ["| " + " | ".join(str(v) for v in line.values()) + " |" for line in lines]
    markdown = "\n".join(text) + "\n"
    write_whole(out / "attribution.csv", lambda file: file.write(buffer.getvalue().encode()))
    write_whole(out / "attribution.md", lambda file: file.write(markdown.encode()))
    return markdown
