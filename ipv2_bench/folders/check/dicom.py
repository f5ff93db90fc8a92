"""Checks of trees of DICOM series: one of NDCT, or a pair of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.data.dicom.doses import by_dose
from ipv2_bench.data.dicom.pairing import SeriesPair, match
from ipv2_bench.data.dicom.patients import group_patients
from ipv2_bench.data.dicom.series import Series
from ipv2_bench.data.dicom.tree import Tree, Wanted, scan_tree
from ipv2_bench.data.findings import Finding, Findings, LeftOut, shown
from ipv2_bench.data.integrity import Copy, check_copies, check_series, content_hash
from ipv2_bench.data.sources.paired_dicom import EXPECTED, onto_grid
from ipv2_bench.errors import InputError
from ipv2_bench.folders.check.others import check_others
from ipv2_bench.folders.check.report import EXAMPLES, MEASURED, Checked, measure_pairs, middle, noise_alone, spread
from ipv2_bench.physics.intensity import Window


def check_tree(root: Path, options: Mapping[str, Any], window: Window, progress: bool) -> Checked:
    """Check a tree of series, and the volumes and single PNG slices in it, which only ``denoise`` reads.

    Where names tell low from normal dose, its pairs are checked too.
    """
    tree = scan_tree(root, progress, wanted=_wanted(options), alone=False)
    if not tree.series and tree.left_out["derived"]:  # pairs of derived images are pairs
        derived = scan_tree(root, progress, wanted=_wanted(options, of_pairs=True), alone=False)
        groups = by_dose(derived.series)
        tree = derived if groups.low and groups.normal else tree
    checked = Checked(_heading(tree), [_series_table(tree, window)] if tree.files else [], _findings(tree))
    check_others(checked, root, tree.png, tree.volumes, window)
    groups = by_dose(tree.series)
    if groups.low and groups.normal:
        alone = LeftOut()
        for one in groups.unknown:
            alone.add("series whose names say no dose", one.names[0])
        _check_pairs(checked, (groups.low, groups.normal), options, window, "", alone)
    else:
        checked.columns = _examples([s.hu[len(s.hu) // 2] for s in tree.series], window)
    return checked


def _wanted(options: Mapping[str, Any], of_pairs: bool = False) -> Wanted:
    """Which slices the options of a source ask for; ``of_pairs``: as ``paired_dicom`` reads them."""
    words = {what: options.get(what, "") for what in ("kernel", "acquisition")}
    return Wanted(
        derived=bool(options.get("derived")), derived_alone=of_pairs, square=bool(options.get("resample")), **words
    )


def _heading(tree: Tree, what: str = "") -> str:
    slices = sum(len(s.hu) for s in tree.series)
    left = f"; left out: {tree.left_out}" if tree.left_out else ""
    return f"{what}{tree.files} DICOM files: {slices} slices in {len(tree.series)} series without a problem{left}"


def _findings(tree: Tree) -> list[Finding]:
    """What is wrong with the files of a tree, its series, and copies among them."""
    whose = group_patients({s.key: s.belonging for s in tree.series})
    findings = Findings()
    for series in tree.series:
        check_series(series, findings)
    check_copies(
        (Copy(s.names[i], content_hash(image), whose[s.key]) for s in tree.series for i, image in enumerate(s.hu)),
        findings,
        "patient",
    )
    return [*tree.findings, *findings.list()]


def _series_table(tree: Tree, window: Window) -> str:
    lines = [
        "| series | slices | size | pixel mm | distance mm | HU 1 % to 99 % | noise HU: air | lung | tissue |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in tree.series:
        steps = np.diff(s.position_mm)
        low, high = np.percentile(s.hu[:: max(1, len(s.hu) // 16)], (1, 99))
        noise = noise_alone([s.hu[i] for i in spread(len(s.hu), 8)], window)
        lines.append(
            f"| {s.key} | {len(s.hu)} | {s.hu.shape[2]}×{s.hu.shape[1]} | {s.spacing_mm:.4g} | "
            f"{middle(steps.tolist())} | {low:.0f} to {high:.0f} | "
            + " | ".join(middle(noise[r]) for r in ("background", "lung", "tissue"))
            + " |"
        )
    return "\n".join([*lines, ""])


def _examples(hu: Sequence[np.ndarray], window: Window) -> list[tuple[str, np.ndarray]]:
    from ipv2_bench.purification.masks import dark_mask

    units = [window.unit(x.astype(np.float32)) for x in hu]
    units = [u for u in units if u.shape == units[0].shape and u.min() < u.max()][:EXAMPLES]
    if not units:
        return []
    return [("slice", np.stack(units)), ("dark mask", np.stack([dark_mask(u) for u in units]).astype(np.float32))]


def check_dicom_pairs(root: Path, options: Mapping[str, Any], window: Window, progress: bool) -> Checked:
    """Check two trees, ``lq`` and ``gt``, each on its own and as pairs."""
    trees = {side: scan_tree(root / side, progress, wanted=_wanted(options, of_pairs=True)) for side in ("lq", "gt")}
    checked = Checked("\n".join(_heading(t, f"{side}: ") for side, t in trees.items()))
    for side, tree in trees.items():
        checked.tables.append(f"{side}:\n" + _series_table(tree, window))
        checked.findings += [replace(f, name=f"{side}/{f.name}") for f in _findings(tree)]
    _check_pairs(checked, (trees["lq"].series, trees["gt"].series), options, window, "lq/", None)
    return checked


def _check_pairs(
    checked: Checked,
    sides: tuple[Sequence[Series], Sequence[Series]],
    options: Mapping[str, Any],
    window: Window,
    where: str,
    alone: LeftOut | None,
) -> None:
    """Add the pairs of uLDCT and NDCT series to a check.

    Parameters
    ----------
    checked
        Receives them.
    sides
        Series of uLDCT and of NDCT.
    options
        Of ``paired_dicom``.
    window
        HU of the images.
    where
        What stands before the name of a uLDCT slice.
    alone
        Counts series without a partner, which are then no problem.
    """
    findings = Findings()
    by, tolerance = str(options.get("match_by", "patient_id")), float(options.get("tolerance_mm", 1.0))
    try:
        pairs = match(*sides, by, tolerance, findings, alone)
    except InputError as error:  # such as series without a patient's number, whose other findings are shown all the same
        pairs = []
        findings.add(f"{where}{sides[0][0].names[0] if sides[0] else '.'}", "tags", f"no pairs: {error}")
    if not pairs and not findings.list():
        findings.add(f"{where}{sides[0][0].names[0] if sides[0] else '.'}", "orphan", f"no pair of uLDCT and NDCT; {EXPECTED}")
    examples = []
    for pair in pairs:
        if not pair.same_grid and not options.get("resample"):
            text = "pixels do not coincide with those of the NDCT; expected one grid; set data.resample=true"
            findings.add(f"{where}{pair.low.names[0]}", "spacing", text)
        lone = [len(s.hu) - len(pair.indices) for s in (pair.low, pair.normal)]
        checked.heading += (
            f"\npair {pair.low.key}: {shown(pair.low.folder)} with {shown(pair.normal.folder)}, {len(pair.indices)} common "
            f"positions; {lone[0]} uLDCT and {lone[1]} NDCT alone"
        )
        examples += [_pair_units(pair, k, window) for k in spread(len(pair.indices), max(1, MEASURED // len(pairs)))]
    if alone:
        checked.heading += f"\nno pair: {alone}"
    measure_pairs(checked, findings, examples, where.rstrip("/") or "uLDCT", window)
    checked.findings += findings.list()


def _pair_units(pair: SeriesPair, k: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
    i, j = pair.indices[k]
    normal = pair.normal.hu[j].astype(np.float32)
    normal = normal if pair.same_grid else onto_grid(normal, pair.normal, pair.low)
    return window.unit(pair.low.hu[i].astype(np.float32)), window.unit(normal)
