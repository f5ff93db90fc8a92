"""Checks of PNG pairs."""

from __future__ import annotations

from pathlib import Path

from ipv2_bench.data.findings import Findings, LeftOut, Unusable
from ipv2_bench.data.formats.png import read_png
from ipv2_bench.data.integrity import Copy, check_copies, content_hash
from ipv2_bench.data.sources.paired_png import PairedPng
from ipv2_bench.folders.check.report import MEASURED, Checked, measure_pairs, spread
from ipv2_bench.physics.intensity import Window
from ipv2_bench.progress import track


def check_png_pairs(root: Path, window: Window, progress: bool) -> Checked:
    """Pairs in folders ``lq`` and ``gt``, in parts of a split where folders tell them."""
    findings = Findings()
    left_out = LeftOut()
    pairs = PairedPng(str(root)).pairs(findings, left_out)
    copies: dict[str, list[Copy]] = {"lq": [], "gt": []}
    shapes: dict[tuple[int, ...], int] = {}
    bits: set[int] = set()
    examples = []
    use = set(spread(len(pairs), MEASURED))
    for n, pair in enumerate(track(pairs, "reading pairs", unit="pair", enabled=progress)):
        images = {}
        for side, path in (("lq", pair.low), ("gt", pair.normal)):
            name = path.relative_to(root).as_posix()
            try:
                one = read_png(path)
            except Unusable as bad:
                findings.add(name, *bad.problem)
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
    by_part = ", ".join(f"{n} in {p}" for p, n in parts.items() if p)
    sizes = ", ".join(f"{s[1]}×{s[0]}" for s in shapes)
    checked = Checked(
        f"{len(pairs)} PNG pairs of {sizes}, {' and '.join(map(str, sorted(bits)))} bit" + (f"; {by_part}" if by_part else "")
    )
    if left_out:
        checked.heading += f"\nleft out: {left_out}"
    measure_pairs(checked, findings, examples, "lq and gt", window)
    checked.findings = findings.list()
    return checked
