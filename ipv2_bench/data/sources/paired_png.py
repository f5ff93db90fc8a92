"""Pairs of PNG files in the layout of the paper's own data: ``{train,val,test}/{lq,gt}/*.png``, or one pool of ``{lq,gt}``."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ipv2_bench.data.findings import Findings, LeftOut, Unusable
from ipv2_bench.data.formats.listing import files_below
from ipv2_bench.data.formats.png import read_png
from ipv2_bench.data.slices import SourceSlices
from ipv2_bench.data.source import Source, scratch
from ipv2_bench.data.split import PARTS
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.physics.intensity import Window
from ipv2_bench.progress import track

logger = logging.getLogger("ipv2_bench")


SIDES = ("lq", "gt")
"""Folders of uLDCT and of NDCT. A link of such a name is followed wherever it leads, since a data set may share its images."""


def has_png_pairs(root: Path) -> bool:
    """Whether there are PNG files in a folder ``lq`` or ``gt`` at any depth."""
    listing = files_below(root, Findings(), LeftOut(), always=SIDES)
    return any(Path(file).parent.name in SIDES for file in listing.png)


class PngPair(NamedTuple):
    """Files of a pair, and the part of the split that their folder names: ``train``, ``val``, ``test`` or nothing."""

    low: Path
    normal: Path
    part: str


class PairedPng(Source):
    """Grey pairs of 8 or 16 bit, matched by file name, like the paper's. The truth is not known.

    Parameters
    ----------
    root
        Folder with ``lq`` (uLDCT) and ``gt`` (NDCT) folders, at any depth. ``data.split=folder`` keeps pairs in the part
        ``train``, ``val`` or ``test`` of their folder; any other split pools them.
    pixel_mm
        Side of a pixel in mm, which PNG does not hold; it sets the path lengths of module 2.
    """

    version = 2

    def __init__(self, root: str = "", pixel_mm: float = 0.7) -> None:
        if not root:
            raise InputError("no pairs to read: set data.root=FOLDER with lq and gt folders of PNG files")
        if not pixel_mm > 0:
            raise ValueError(f"pixel_mm is {pixel_mm}: expected a positive number")
        self.root, self.pixel_mm = Path(root), pixel_mm

    def identity(self) -> dict:
        """See :meth:`ipv2_bench.data.source.Source.identity`."""
        content = hashlib.sha256()
        for pair in self.pairs():
            content.update(hashlib.sha256(pair.low.read_bytes() + pair.normal.read_bytes()).digest())
            content.update(pair.part.encode())
        return {"content": content.hexdigest(), "pixel_mm": self.pixel_mm}

    def pairs(self, findings: Findings | None = None, left_out: LeftOut | None = None) -> list[PngPair]:
        """All pairs, sorted by folder and name; images without a partner are added to ``findings``, and files that are
        no PNG of such a folder to ``left_out``.

        A folder ``gt`` without a folder ``lq`` beside it, or the reverse, holds images without a partner.

        Raises
        ------
        InputError
            When there is no pair, or images lack a partner and ``findings`` is ``None``.
        """
        if not self.root.is_dir():
            raise InputError(f"the folder {self.root} does not exist: set data.root to the pairs' folder")
        pairs, orphans = [], Findings() if findings is None else findings
        others = LeftOut() if left_out is None else left_out
        listing = files_below(self.root, orphans, others, always=SIDES)
        for file in (*listing.dicom, *listing.volumes):
            others.add("no PNG", file)
        of_folders: dict[str, dict[str, dict[str, Path]]] = {}
        for file in listing.png:
            folder, _, name = file.rpartition("/")
            above, _, side = folder.rpartition("/")
            if side in SIDES:
                of_folders.setdefault(above, {side: {} for side in SIDES})[side][name] = self.root / file
            else:
                others.add("PNG outside of lq and gt", file)
        for above, of_sides in sorted(of_folders.items()):
            low, normal = (of_sides[side] for side in SIDES)
            for name in sorted(set(low) ^ set(normal)):
                file = (low.get(name) or normal[name]).relative_to(self.root).as_posix()
                orphans.add(file, "orphan", f"has no partner in {SIDES[name in low]}: add it or remove this one")
            part = next((p for p in above.split("/") if p in PARTS), "")
            pairs += [PngPair(low[n], normal[n], part) for n in sorted(set(low) & set(normal))]
        if findings is None:
            refuse([str(f) for f in orphans.list()], "data set")
        if not pairs:
            alone = sum(1 + f.more for f in orphans.list() if f.kind == "orphan")
            why = f"{alone} images have no partner" if alone else "there is no PNG file in such a folder"
            why = f"left out: {others}; {why}" if others else why
            raise InputError(f"no pairs under {self.root}: expected folders lq and gt with PNG files of equal names; {why}")
        return pairs

    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        """See :meth:`ipv2_bench.data.source.Source.make`."""
        left_out, findings, keys = LeftOut(), Findings(), []
        pairs = self.pairs(left_out=left_out)
        if left_out:
            logger.warning("left out of the data set: %s", left_out)
        arrays = {side: scratch(self.cache, len(pairs), size) for side in ("low", "normal")}
        for i, pair in enumerate(track(pairs, "PNG pairs", unit="pair", enabled=progress)):
            content = hashlib.sha256()
            for side, path in (("low", pair.low), ("normal", pair.normal)):
                file = path.relative_to(self.root).as_posix()
                content.update(path.read_bytes())
                try:
                    unit = read_png(path).unit
                except Unusable as bad:
                    findings.add(file, *bad.problem)
                    continue
                if unit.shape != (size, size):
                    text = f"is {unit.shape[1]}×{unit.shape[0]}: expected {size}×{size} (data.size)"
                    findings.add(file, "shape", text)
                    continue
                arrays[side][i] = window.hu(unit)
            keys.append(content.hexdigest()[:16])
        refuse([str(f) for f in findings.list()], "data set")
        # Patients are not known, so only data.split=slice or folder is possible.
        mm = np.full(len(pairs), self.pixel_mm)
        return SourceSlices(arrays, [""] * len(pairs), mm, (), keys, [p.part for p in pairs])
