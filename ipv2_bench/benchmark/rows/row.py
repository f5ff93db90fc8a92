"""Rows as files: JSON in the published form, written by a run or contributed, from which every table can be rendered."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.out_folder import write_text
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.metrics.uncertainty import Sample

SCHEMA = 4

SHARED = ("data_manifest", "window_hu", "split", "budget", "measuring_code", "meaningful")
"""What of the provenance two rows must share to be compared, besides the label's images and the extractor."""


@dataclass(frozen=True)
class Row:
    """One row: what its JSON file holds."""

    data: dict[str, Any]

    @cached_property
    def replicates(self) -> dict[str, np.ndarray]:
        """Each measure on the bootstrap's draws, [B]; NaN where a draw does not show it."""
        return {k: np.array(v, dtype=np.float64) for k, v in self.data["replicates"].items()}

    @property
    def sample(self) -> Sample | None:
        """What the draws were taken of; ``None`` without any."""
        if not self.replicates:
            return None
        patients = int(self.data["n_test_patients"])
        drawn = len(next(iter(self.replicates.values())))
        return Sample(patients if patients > 1 else int(self.data["n_images"]), patients, drawn)


def storable(replicates: dict[str, np.ndarray]) -> dict[str, list[float | None]]:
    """Replicates as a row holds them: six digits, nothing for NaN."""
    return {k: [float(f"{x:.6g}") if math.isfinite(x) else None for x in v] for k, v in sorted(replicates.items())}


def row_text(data: dict[str, Any]) -> str:
    """A row as its file has it: a field a line, and lists of numbers on one."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n[-+.\deE\s,nul]+\]", lambda m: re.sub(r"\s+", "", m[0]).replace(",", ", "), text) + "\n"


def write_row(out: Path, row: dict[str, Any]) -> Path:
    """Write a row into the folder ``rows`` of its leaderboard, unless it stands there; its path comes back."""
    # The same images may stand in two tables under two names of the lattice, such as IPv1+1+2 and IPv2, and a label that
    # needs no weak denoiser is the same for every seed.
    name = f"{row['images']} {row['strategy']} {row['label']}"
    name = f"{re.sub(r'[^A-Za-z0-9+]+', '-', name).strip('-')}-seed{row['seed']}"
    path, text = out / "rows" / f"{name}.json", row_text(row)
    write_text(path, text)
    return path


def remove_superseded(written: dict[Path, dict[str, Any]]) -> int:
    """Remove rows that earlier code gave for the very lines that have new ones; any others stay."""
    now = {_line_identity(row) for row in written.values()}
    removed = 0
    for folder in {path.parent for path in written}:
        for path in sorted(folder.glob("*.json")):
            if path in written:
                continue
            with suppress(ValueError):  # what is no JSON was not written here
                row = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(row, dict) and _line_identity(row) in now:
                    path.unlink()
                    removed += 1
    return removed


def _line_identity(row: dict[str, Any]) -> str:
    """Hash of what a row stands for, whatever code computed it: line, seed, data, budget and sizes of the denoisers."""
    of_line = [row.get(k) for k in ("label", "denoiser_key", "strategy", "seed")]
    came = row.get("provenance", {})
    return digest(
        [of_line, [came.get(k) for k in ("benchmark", "data_manifest", "window_hu", "split", "budget", "denoisers")]]
    )


def read_row(path: Path) -> dict[str, Any]:
    """A row from its file, in the published form.

    Raises
    ------
    InputError
        When it is no row; the field is named.
    """
    import jsonschema

    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"the row {path.name} is not there: name files under leaderboards/*/rows") from error
    except ValueError as error:
        raise InputError(f"the row {path.name} is no JSON ({error})") from error
    version = row.get("schema") if isinstance(row, dict) else None
    if isinstance(version, int) and version != SCHEMA:
        raise InputError(f"the row {path.name} is of schema {version}, not {SCHEMA}: compute it anew")
    problems = sorted(jsonschema.Draft202012Validator(schema()).iter_errors(row), key=lambda e: list(map(str, e.path)))
    if problems:
        first = problems[0]
        where = ".".join(map(str, first.path)) or "the row"
        raise InputError(f"the row {path.name} breaks the schema at {where}: {first.message[:200]}")
    lengths = {len(v) for v in row["replicates"].values()}
    if len(lengths) > 1:
        raise InputError(f"the row {path.name} breaks the schema at replicates: lists of {sorted(lengths)} numbers")
    return row


@cache
def schema() -> dict[str, Any]:
    """The published JSON Schema of rows."""
    return json.loads(Path(__file__).with_name("row.schema.json").read_text(encoding="utf-8"))
