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
from ipv2_bench.files import write_json, write_text

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
        When the boards have no row of the same data in common.
    """
    one, two = rows_of(board), rows_of(other)
    both = one.keys() & two.keys()
    common = [k for k in one if k in both and one[k].provenance.data_manifest == two[k].provenance.data_manifest]
    if left_out := len(both) - len(common):
        print(f"{left_out} rows of other data, left out")
    if not common:
        raise ValueError(f"{board} and {other} have no row of the same data in common")
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for key in common for name in one[key].measures):
        pairs = [(one[key], two[key]) for key in common if name in one[key].measures and name in two[key].measures]
        differences = [_difference(a, b, name) for a, b in pairs]
        apart, relative, share = (float(f"{max(d[i] for d in differences):.3g}") for i in range(3))
        found.append(
            {"measure": name, "rows": len(pairs), "difference": apart, "relative": relative, "of_half_interval": share}
        )
    return sorted(found, key=lambda f: -f["of_half_interval"])


def _difference(a: Row, b: Row, name: str) -> tuple[float, float, float]:
    """Of a measure: as it is; relative to its value, or to its draws where it is around zero; as a share of half its interval."""
    apart = abs(a.measures[name] - b.measures[name])
    draws = a.drawn.get(name, np.full(1, np.nan))
    scale = max(abs(a.measures[name]), float(np.nanmedian(np.abs(draws))) if np.isfinite(draws).any() else 0.0)
    low, high = a.intervals.get(name, (0.0, 0.0))
    half = 0.5 * (high - low)
    return apart, (apart / scale if scale else 0.0), (apart / half if half else 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--note", default="", help="what was different")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    found = compare(given.board, given.other)
    lines = [
        "# How far two computations of the same board differ\n",
        f"Largest difference of each measure over all rows: {given.note}.\n",
        "| measure | rows | difference | relative | of half the interval |",
        "|---|---|---|---|---|",
    ]
    for f in found:
        shares = f"{100 * f['relative']:.3g} % | {100 * f['of_half_interval']:.3g} %"
        lines.append(f"| {f['measure']} | {f['rows']} | {f['difference']:.3g} | {shares} |")
    text = "\n".join(lines) + "\n"
    print(text)
    write_json(given.out, {"note": given.note, "measures": found})
    write_text(given.out.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
