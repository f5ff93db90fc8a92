"""The command ``check DATA``: everything is read once, what is wrong comes in one list, and a picture shows the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ipv2_bench.benchmark.check_dicom import check_dicom_pairs, check_tree
from ipv2_bench.benchmark.check_png import check_png_pairs
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.figures import panel
from ipv2_bench.data.findings import KINDS, Finding
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window


def check_data(root: Path, config: Config, picture: Path | None, progress: bool = True) -> tuple[str, bool]:
    """Read a data set once and say what is wrong with it.

    Parameters
    ----------
    root
        Folder with ``lq`` and ``gt`` of PNG or DICOM pairs, at any depth for PNG; or a tree of DICOM series.
    config
        Its window, and its options of ``paired_dicom`` where it has them.
    picture
        Where a PNG with examples, masks beside, is put.
    progress
        Show bars.

    Returns
    -------
    tuple
        The report, and whether all is well.

    Raises
    ------
    InputError
        When there is nothing to check.
    """
    if not root.is_dir():
        raise InputError(f"the folder {root} is not there: name a tree of DICOM series, or of PNG pairs in lq and gt")
    window = Window(*config.data.window)
    if any(True for lq in root.rglob("lq") if lq.is_dir() for _ in lq.glob("*.png")):
        found = check_png_pairs(root, window, progress)
    elif (root / "lq").is_dir() and (root / "gt").is_dir():
        found = check_dicom_pairs(root, config, window, progress)
    else:
        found = check_tree(root, window, progress)
    report = [found.heading, "", *found.tables, _summary(found.findings)]
    ordered = sorted(found.findings, key=lambda f: KINDS.index(f.kind))
    report += [f"  {i}. [{f.kind}] {f}" for i, f in enumerate(ordered, 1)]
    if picture is not None and found.columns:
        panel(found.columns, window, picture)
        report.append(f"examples: {picture}")
    return "\n".join(report), not found.findings


def _summary(findings: Sequence[Finding]) -> str:
    if not findings:
        return "no problem found"
    counts = {k: sum(1 + f.more for f in findings if f.kind == k) for k in KINDS}
    lines = ["| problem | files |", "|---|---|", *(f"| {k} | {n} |" for k, n in counts.items() if n)]
    return "\n".join([*lines, "", f"{len(findings)} problems:"])
