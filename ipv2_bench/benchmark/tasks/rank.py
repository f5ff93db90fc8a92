"""Rows from anywhere, ranked: only those that can be compared stand in one list."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.lines import HIGHER_IS_BETTER, MEASURED
from ipv2_bench.benchmark.row_files import SHARED, read_row
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.metrics.extractors import COLUMNS
from ipv2_bench.metrics.offline_features import NAME


def rank(paths: Sequence[Path], metric: str) -> str:
    """Rank rows by a measure, as Markdown: one list for each data, split, budget, label and extractor.

    Lines join the rows of one denoiser and strategy over their seeds. The list says which of two is ahead on the mean, not
    that it is better: for that, compare them in one run (``ipv2-bench compare``), which gives paired intervals.

    Parameters
    ----------
    paths
        Files of rows.
    metric
        A column of the tables, such as ``rmse_hu`` or ``fd_randconv``.

    Raises
    ------
    InputError
        For a file that is no row, or a measure that no row has.
    """
    if metric not in MEASURED:
        raise InputError(f"--by is '{metric}': use one of {', '.join(MEASURED)}")
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in paths:
        row = read_row(path)
        if row["denoiser"] and _value(row, metric) is not None:
            groups[_comparable(row, metric)].append(row)
    if not groups:
        raise InputError(f"none of {len(paths)} rows is of a denoiser and has {metric}: name others or another measure")
    ordered = sorted(
        groups.values(), key=lambda rows: (rows[0]["provenance"]["benchmark"], rows[0]["label"], -len(rows))
    )
    return "\n".join(_list(rows, metric) for rows in ordered)


def _value(row: dict[str, Any], metric: str) -> float | None:
    found = {**row["distances"], **row["fidelity"], **row.get("structure", {}), **row["cost"]}.get(metric)
    return None if found is None or not math.isfinite(found) else float(found)


def _comparable(row: dict[str, Any], metric: str) -> str:
    """Hash of what two rows must share to stand in one list."""
    came = row["provenance"]
    extractor = next((name for name, columns in COLUMNS.items() if metric in columns), NAME if NAME in metric else "")
    used = came["extractors"].get(extractor) if extractor else None
    return digest([row["label"], row["reference"], row["n_images"], used, [came.get(k) for k in SHARED]])


def _list(rows: list[dict[str, Any]], metric: str) -> str:
    lines: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        value = _value(row, metric)
        assert value is not None
        lines[row["denoiser"], row["denoiser_key"], row["strategy"]][row["seed"]] = value
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    means = {who: sum(by_seed.values()) / len(by_seed) for who, by_seed in lines.items()}
    came = rows[0]["provenance"]
    budget = came["budget"]
    steps = f"{budget['steps']} steps" if budget["steps"] else f"{budget['epochs']} epochs"
    text = [
        f"## {came['benchmark']}: {metric} against {rows[0]['label']}",
        "",
        f"data {came['data_manifest'][:12]}, {rows[0]['n_images']} test slices, {steps} of batch {budget['batch_size']}"
        + ("" if came["meaningful"] else "; a trial whose numbers mean nothing"),
        "",
        f"| rank | denoiser + training | {metric} | seeds | from to |",
        "|---|---|---|---|---|",
    ]
    for place, who in enumerate(sorted(means, key=lambda w: sign * means[w]), 1):
        title = who[0] if ":" not in who[1] else f"{who[0]} ({who[1]})"
        seeds = sorted(lines[who].values())
        spread = f"{seeds[0]:.4g} to {seeds[-1]:.4g}" if len(seeds) > 1 else "–"
        text.append(f"| {place} | {title} + {who[2]} | {means[who]:.4g} | {len(seeds)} | {spread} |")
    return "\n".join([*text, ""])
