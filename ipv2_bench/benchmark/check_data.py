"""The command ``check DATA``: everything is read once, what is wrong comes in one list, and a picture shows the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.figures import panel
from ipv2_bench.data.dicom import Tree, count, scan_tree
from ipv2_bench.data.findings import KINDS, Finding, Findings
from ipv2_bench.data.integrity import Copy, check_copies, check_series, content_hash
from ipv2_bench.data.pairing import SeriesPair, match
from ipv2_bench.data.patients import group_patients
from ipv2_bench.data.png import BadPng, read_png
from ipv2_bench.data.sources.paired_dicom import onto_grid
from ipv2_bench.data.sources.paired_png import PairedPng
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.anatomy import regions
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.calibration import lung_region, noise_level, outside_region
from ipv2_bench.purification.masks import common_mask, dark_mask

EXAMPLES = 5
MEASURED = 24
"""Slices whose noise is measured, spread over the data."""

LEAST = 50
"""Pixels that a region must have to be measured."""


@dataclass
class Checked:
    """What was found.

    Attributes
    ----------
    heading
        What there is, in words.
    tables
        Markdown tables of series and noise.
    findings
        What is wrong.
    columns
        Title and images [n, N, N] in [0, 1] of examples.
    """

    heading: str
    tables: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    columns: list[tuple[str, np.ndarray]] = field(default_factory=list)


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
        found = _png_pairs(root, window, progress)
    elif (root / "lq").is_dir() and (root / "gt").is_dir():
        found = _dicom_pairs(root, config, window, progress)
    else:
        found = _dicom_tree(root, window, progress)
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


def _spread(n: int, wanted: int) -> list[int]:
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).astype(int)).tolist() if n else []


def _fmt(values: Sequence[float]) -> str:
    return f"{np.median(values):.3g}" if values else "–"


def _dicom_tree(root: Path, window: Window, progress: bool) -> Checked:
    tree = scan_tree(root, progress)
    findings = Findings()
    _check_tree(tree, findings)
    found = Checked(_heading(tree), [_series_table(tree, window)], [*tree.findings, *findings.list()])
    found.columns = _examples([s.hu[len(s.hu) // 2] for s in tree.series], window)
    return found


def _heading(tree: Tree, what: str = "") -> str:
    slices = sum(len(s.hu) for s in tree.series)
    left = f"; left out: {count(tree.left_out)}" if tree.left_out else ""
    return f"{what}{tree.files} DICOM files: {slices} slices in {len(tree.series)} series without a problem{left}"


def _check_tree(tree: Tree, findings: Findings, prefix: str = "") -> None:
    whose = group_patients({s.key: s.belonging for s in tree.series})
    own = Findings()
    for series in tree.series:
        check_series(series, own)
    check_copies(
        (Copy(s.names[i], content_hash(image), whose[s.key]) for s in tree.series for i, image in enumerate(s.hu)),
        own,
        "patient",
    )
    for f in own.list():
        findings.add(prefix + f.name, f.kind, f.text)


def _series_table(tree: Tree, window: Window) -> str:
    lines = [
        "| series | slices | size | pixel mm | distance mm | HU 1 % to 99 % | noise HU: air | lung | tissue |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in tree.series:
        steps = np.diff(s.position_mm)
        low, high = np.percentile(s.hu[:: max(1, len(s.hu) // 16)], (1, 99))
        noise = _noise_alone([s.hu[i] for i in _spread(len(s.hu), 8)], window)
        lines.append(
            f"| {s.key} | {len(s.hu)} | {s.hu.shape[2]}×{s.hu.shape[1]} | {s.spacing_mm:.4g} | "
            f"{_fmt(steps.tolist())} | {low:.0f} to {high:.0f} | "
            + " | ".join(_fmt(noise[r]) for r in ("background", "lung", "tissue"))
            + " |"
        )
    return "\n".join([*lines, ""])


def _noise_alone(hu: Sequence[np.ndarray], window: Window) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"background": [], "lung": [], "tissue": []}
    for image in hu:
        unit = window.unit(image.astype(np.float32))
        if unit.min() == unit.max():
            continue
        for name, region in regions(unit, window).items():
            if name in found and region.sum() >= LEAST:
                found[name].append(noise_level(unit, region) * window.width)
    return found


def _examples(hu: Sequence[np.ndarray], window: Window) -> list[tuple[str, np.ndarray]]:
    units = [window.unit(x.astype(np.float32)) for x in hu]
    units = [u for u in units if u.shape == units[0].shape and u.min() < u.max()][:EXAMPLES]
    if not units:
        return []
    return [("slice", np.stack(units)), ("dark mask", np.stack([dark_mask(u) for u in units]).astype(np.float32))]


def _dicom_pairs(root: Path, config: Config, window: Window, progress: bool) -> Checked:
    options = config.data.options if config.data.source == "paired_dicom" else {}
    trees = {side: scan_tree(root / side, progress, derived=True) for side in ("lq", "gt")}
    found = Checked("\n".join(_heading(t, f"{side}: ") for side, t in trees.items()))
    findings = Findings()
    for side, tree in trees.items():
        found.tables.append(f"{side}:\n" + _series_table(tree, window))
        found.findings += [Finding(f.kind, f"{side}/{f.name}", f.text, f.more) for f in tree.findings]
        _check_tree(tree, findings, f"{side}/")
    by, tolerance = str(options.get("match_by", "patient_id")), float(options.get("tolerance_mm", 1.0))
    pairs = match(trees["lq"].series, trees["gt"].series, by, tolerance, findings)
    examples = []
    for pair in pairs:
        if not pair.same_grid:
            text = "pixels do not lie on those of the NDCT; expected one grid; set data.resample=true"
            findings.add(f"lq/{pair.low.names[0]}", "spacing", text)
        alone = [len(s.hu) - len(pair.places) for s in (pair.low, pair.normal)]
        found.heading += (
            f"\npair {pair.low.key}: {len(pair.places)} common heights; {alone[0]} uLDCT and {alone[1]} NDCT alone"
        )
        examples += [_pair_units(pair, k, window) for k in _spread(len(pair.places), max(1, MEASURED // len(pairs)))]
    _pairs_measured(found, findings, examples, "lq", window)
    found.findings += findings.list()
    return found


def _pair_units(pair: SeriesPair, k: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
    i, j = pair.places[k]
    normal = pair.normal.hu[j].astype(np.float32)
    normal = normal if pair.same_grid else onto_grid(normal, pair.normal, pair.low)
    return window.unit(pair.low.hu[i].astype(np.float32)), window.unit(normal)


def _png_pairs(root: Path, window: Window, progress: bool) -> Checked:
    findings = Findings()
    pairs = PairedPng(str(root)).pairs(findings)
    copies: dict[str, list[Copy]] = {"lq": [], "gt": []}
    shapes: dict[tuple[int, ...], int] = {}
    bits: set[int] = set()
    examples = []
    use = set(_spread(len(pairs), MEASURED))
    for n, pair in enumerate(tqdm(pairs, desc="reading pairs", unit="pair", disable=not progress)):
        images = {}
        for side, path in (("lq", pair.low), ("gt", pair.normal)):
            name = path.relative_to(root).as_posix()
            try:
                one = read_png(path)
            except BadPng as bad:
                findings.add(name, bad.args[0], bad.args[1])
                continue
            if one.unit.min() == one.unit.max():
                findings.add(name, "constant", "all pixels are equal: expected an image; remove the pair")
                continue
            images[side], bits = one.unit, bits | {one.bits}
            copies[side].append(Copy(name, content_hash(one.unit), pair.part))
            shapes[one.unit.shape] = shapes.get(one.unit.shape, 0) + 1
        if len(images) == 2:
            name = pair.low.relative_to(root).as_posix()
            if images["lq"].shape != images["gt"].shape:
                sizes = " and ".join("×".join(map(str, images[s].shape[::-1])) for s in ("lq", "gt"))
                findings.add(name, "shape", f"{sizes}: expected one size for both; replace one of them")
            elif n in use:
                examples.append((images["lq"], images["gt"]))
    for of_side in copies.values():
        check_copies(of_side, findings, "part of the split")
    if len(shapes) > 1:
        usual = max(shapes, key=lambda s: shapes[s])
        text = f"{len(shapes)} different sizes in the data set, most are {usual[1]}×{usual[0]}; expected one size"
        findings.add("lq and gt", "shape", text)
    parts = {p: sum(pair.part == p for pair in pairs) for p in sorted({pair.part for pair in pairs})}
    told = ", ".join(f"{n} in {p}" for p, n in parts.items() if p)
    sizes = ", ".join(f"{s[1]}×{s[0]}" for s in shapes)
    found = Checked(
        f"{len(pairs)} PNG pairs of {sizes}, {' and '.join(map(str, sorted(bits)))} bit" + (f"; {told}" if told else "")
    )
    _pairs_measured(found, findings, examples, "lq and gt", window)
    found.findings = findings.list()
    return found


def _pairs_measured(
    found: Checked,
    findings: Findings,
    examples: Sequence[tuple[np.ndarray, np.ndarray]],
    where: str,
    window: Window,
) -> None:
    """Noise of both sides of some pairs, whether they are swapped, and a picture of a few with their masks."""
    noise: dict[str, list[list[float]]] = {"lung": [], "background": []}
    for low, normal in examples:
        if min(x.max() - x.min() for x in (low, normal)) == 0:
            continue
        for region, of in (("lung", lung_region), ("background", outside_region)):
            there = of(low, normal)
            if there.sum() >= LEAST:
                noise[region].append([noise_level(x, there) * window.width for x in (low, normal)])
    swapped = sum(low_hu < normal_hu for low_hu, normal_hu in noise["lung"])
    if 2 * swapped > len(noise["lung"]):
        text = f"in {swapped} of {len(noise['lung'])} pairs the uLDCT has less noise in the lung than the NDCT"
        findings.add(where, "swapped", f"{text}; expected it the other way round; exchange the two")
    lines = ["| noise HU | uLDCT | NDCT | slices |", "|---|---|---|---|"]
    for region, levels in noise.items():
        low_hu, normal_hu = ([pair[side] for pair in levels] for side in (0, 1))
        lines.append(f"| {region} | {_fmt(low_hu)} | {_fmt(normal_hu)} | {len(levels)} |")
    found.tables.append("\n".join([*lines, ""]))
    shown = [e for e in examples if e[0].shape == examples[0][0].shape and min(x.max() - x.min() for x in e) > 0]
    shown = [shown[i] for i in _spread(len(shown), EXAMPLES)]
    if shown:
        masks = [[common_mask(*e, remove_background=on) / 255.0 for e in shown] for on in (False, True)]
        found.columns = [
            ("uLDCT", np.stack([e[0] for e in shown])),
            ("NDCT", np.stack([e[1] for e in shown])),
            ("CM", np.stack(masks[0]).astype(np.float32)),
            ("CM without background", np.stack(masks[1]).astype(np.float32)),
        ]
