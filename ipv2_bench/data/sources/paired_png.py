"""The published layout of the paper's own data: ``{train,val,test}/{lq,gt}/*.png``, or one pool of ``{lq,gt}``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ipv2_bench.data.slices import Made
from ipv2_bench.data.source import Source
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.physics.intensity import Window, from_8bit


class PairedPng(Source):
    """Gray 8-bit pairs, matched by file name, as the paper's. The truth is not known.

    Parameters
    ----------
    root
        Folder with ``lq`` (uLDCT) and ``gt`` (NDCT) folders, at any depth; pairs of all of them are pooled and split
        anew by ``data.split``.
    pixel_mm
        Side of a pixel, which PNG does not tell; it sets the path lengths of module 2.
    """

    def __init__(self, root: str = "", pixel_mm: float = 0.7) -> None:
        if not root:
            raise InputError("no pairs to read: set data.root=FOLDER with lq and gt folders of PNG files")
        if not pixel_mm > 0:
            raise ValueError(f"pixel_mm is {pixel_mm}: expected a positive number")
        self.root, self.pixel_mm = Path(root), pixel_mm

    def identity(self) -> dict:
        """See :class:`Source`."""
        content = hashlib.sha256()
        for low, normal in self._pairs():
            content.update(hashlib.sha256(low.read_bytes() + normal.read_bytes()).digest())
        return {"content": content.hexdigest(), "pixel_mm": self.pixel_mm}

    def _pairs(self) -> list[tuple[Path, Path]]:
        if not self.root.is_dir():
            raise InputError(f"the folder {self.root} is not there: set data.root to the pairs' folder")
        pairs, problems = [], []
        for lq in sorted(p for p in self.root.rglob("lq") if p.is_dir()):
            gt = lq.parent / "gt"
            low, normal = ({p.name: p for p in folder.glob("*.png")} for folder in (lq, gt))
            for name in sorted(set(low) ^ set(normal)):
                side, other = ("lq", "gt") if name in low else ("gt", "lq")
                where = (lq.parent / side / name).relative_to(self.root)
                problems.append(f"{where} has no partner in {other}: add it or remove this one")
            pairs += [(low[n], normal[n]) for n in sorted(set(low) & set(normal))]
        refuse(problems, "data set")
        if not pairs:
            raise InputError(f"no pairs under {self.root}: expected folders lq and gt with PNG files of equal names")
        return pairs

    def make(self, window: Window, size: int, progress: bool) -> Made:
        """See :class:`Source`."""
        from PIL import Image, UnidentifiedImageError
        from tqdm import tqdm

        arrays: dict[str, list[np.ndarray]] = {"low": [], "normal": []}
        patient: list[str] = []
        problems: list[str] = []
        for pair in tqdm(self._pairs(), desc="PNG pairs", unit="pair", disable=not progress, leave=False):
            for side, path in zip(arrays, pair, strict=True):
                where = path.relative_to(self.root)
                try:
                    with Image.open(path) as image:
                        if image.mode not in ("L", "RGB", "P", "1"):
                            problems.append(f"{where} has pixels of kind {image.mode}: expected 8-bit grey or colour")
                            continue
                        gray = np.asarray(image.convert("L"))
                except (OSError, SyntaxError, UnidentifiedImageError) as error:
                    problems.append(f"{where} cannot be read as PNG ({type(error).__name__}): replace it")
                    continue
                if gray.shape != (size, size):
                    problems.append(f"{where} is {gray.shape[1]}×{gray.shape[0]}: expected {size}×{size} (data.size)")
                    continue
                arrays[side].append(from_8bit(gray))
            patient.append("")  # not told, so that only data.split=slice is possible
        refuse(problems, "data set")
        stacked = {side: np.stack(images) for side, images in arrays.items()}
        return Made(stacked, patient, np.full(len(patient), self.pixel_mm))
