"""A folder of slices or pairs, read once: all that is wrong in one list, and a picture of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.views.figures import panel
from ipv2_bench.data.findings import KINDS, Finding
from ipv2_bench.data.sources.paired_dicom import has_lq_and_gt
from ipv2_bench.data.sources.paired_png import has_png_pairs
from ipv2_bench.errors import InputError
from ipv2_bench.folders.check.dicom import check_dicom_pairs, check_tree
from ipv2_bench.folders.check.png import check_png_pairs
from ipv2_bench.physics.intensity import Window


def check_folder(
    root: Path, window: Window, options: Mapping[str, Any], picture: Path | None, progress: bool = True
) -> tuple[str, bool]:
    """Read a folder once and say what is wrong with it.

    Parameters
    ----------
    root
        Folder with ``lq`` and ``gt`` of PNG or DICOM pairs, at any depth for PNG; or a tree of DICOM series.
    window
        HU of its images.
    options
        Of ``paired_dicom``.
    picture
        PNG file for examples with their masks; none for ``None``.
    progress
        Show progress.

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
        raise InputError(f"the folder {root} does not exist: name a tree of DICOM series, or of PNG pairs in lq and gt")
    if has_png_pairs(root):
        checked = check_png_pairs(root, window, progress)
    elif has_lq_and_gt(root):
        checked = check_dicom_pairs(root, options, window, progress)
    else:
        checked = check_tree(root, options, window, progress)
    report = [checked.heading, "", *checked.tables, _summary(checked.findings)]
    ordered = sorted(checked.findings, key=lambda f: KINDS.index(f.kind))
    report += [f"  {i}. [{f.kind}] {f}" for i, f in enumerate(ordered, 1)]
    if picture is not None and checked.columns:
        panel(checked.columns, window, picture)
        report.append(f"examples: {picture}")
    return "\n".join(report), not checked.findings


def _summary(findings: Sequence[Finding]) -> str:
    if not findings:
        return "no problem found"
    counts = {k: sum(1 + f.more for f in findings if f.kind == k) for k in KINDS}
    lines = ["| problem | files |", "|---|---|", *(f"| {k} | {n} |" for k, n in counts.items() if n)]
    return "\n".join([*lines, "", f"{len(findings)} problems:"])
