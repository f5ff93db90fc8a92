"""How far two computations of the same board differ: ``python -m tests.benches.machines BOARD OTHER --note TEXT``.

Data must be the same to the last integer. Trainings round differently from CPU to CPU, and so do tables: the largest difference
of each measure over all lines is given relative to its value, and as a share of half the width of its interval.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.rows.files import read_row
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.files import write_json

OUT = Path("leaderboards/performance/machines.json")

def rows_of(board: Path) -> dict[tuple, Row]:
    """Rows of a board by what they are of."""
    rows = [read_row(path) for path in sorted((board / "rows").glob("*.json"))]
    return {(r.denoiser_key, r.strategy, r.label, r.seed): r for r in rows}


def compare(board: Path, other: Path) -> list[dict[str, Any]]:
    """The largest differences of each measure, largest first.

    Raises
    ------
    ValueError
        When the boards are of other data, or have no line in common.
    """
    one, two = rows_of(board), rows_of(other)
    if not (common := one.keys() & two.keys()):
        raise ValueError(f"{board} and {other} have no row in common")
    if any(one[k].provenance.data_manifest != two[k].provenance.data_manifest for k in common):
        raise ValueError(f"{board} and {other} are of other data")
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for key in common for name in one[key].measures):
        pairs = [(one[key], two[key]) for key in common if name in one[key].measures and name in two[key].measures]
        differences = [_difference(a, b, name) for a, b in pairs]
        relative, share = (max(d[i] for d in differences) for i in (0, 1))
        found.append({"measure": name, "rows": len(pairs), "relative": round(relative, 6), "of_half_interval": round(share, 6)})
    return sorted(found, key=lambda f: -f["of_half_interval"])


def _difference(a: Row, b: Row, name: str) -> tuple[float, float]:
    """Of a measure: relative to its value, or to its draws where it is around zero; and as a share of half its interval."""
    apart = abs(a.measures[name] - b.measures[name])
    draws = a.drawn.get(name, np.full(1, np.nan))
    scale = max(abs(a.measures[name]), float(np.nanmedian(np.abs(draws))) if np.isfinite(draws).any() else 0.0)
    low, high = a.intervals.get(name, (0.0, 0.0))
    half = 0.5 * (high - low)
    return (apart / scale if scale else 0.0), (apart / half if half else 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--note", default="", help="what was different")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    found = compare(given.board, given.other)
    print("measure                       rows   relative   of half the interval")
    for f in found:
        print(f"{f['measure']:28s} {f['rows']:5d} {100 * f['relative']:9.3f} % {100 * f['of_half_interval']:9.3f} %")
    write_json(given.out, {"note": given.note, "measures": found})


if __name__ == "__main__":
    main()
