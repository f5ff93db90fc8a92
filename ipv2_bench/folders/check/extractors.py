"""The command ``check``: which columns can be computed on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ipv2_bench.benchmark.config import Config
from ipv2_bench.metrics.extractors import COLUMNS, PRETRAINED
from ipv2_bench.metrics.offline_features import NAME
from ipv2_bench.metrics.weights import VARIABLE, cache_folder


def check_extractors(config: Config, download: bool = False) -> str:
    """What there is of the feature extractors, in words; with ``download`` what is missing is fetched first.

    Raises
    ------
    InputError
        When a file is not what its name says, or a download fails.
    """
    if config.run.weights:
        os.environ[VARIABLE] = str(Path(config.run.weights).resolve())
    lines = [f"fd_{NAME}, kid_x100_{NAME}: ready (no weights needed)"]
    for weights, _ in PRETRAINED:
        path = weights.find()
        if path is None and download:
            path = weights.download()
        columns = ", ".join(COLUMNS[weights.name])
        if path is not None:
            lines.append(f"{columns}: ready ({weights.name}, {path}, SHA-256 verified)")
            continue
        lines.append(f"{columns}: missing, the columns stay empty ({weights.name})")
        lines += [f"    looked for {place}" for place in weights.places()]
        lines.append(f"    get it: ipv2-bench check --download, or from {weights.url}")
        lines.append(f"    behind a firewall: bring it into {cache_folder()}, or into any folder and set {VARIABLE}")
        lines.append(f"    its SHA-256: {weights.sha256}")
    return "\n".join(lines)
