"""The CT series of a folder tree of DICOM files, in Hounsfield units (HU).

Findings carry relative paths only; :mod:`ipv2_bench.data.dicom.tags` says what is read of a file, and what never.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ipv2_bench.data.dicom.patients import group_patients
from ipv2_bench.data.dicom.series import FileProblem, Series, build_series, grouped
from ipv2_bench.data.dicom.tags import quiet_pydicom
from ipv2_bench.data.findings import Finding, Findings, LeftOut, shown
from ipv2_bench.data.formats.listing import files_below
from ipv2_bench.errors import InputError, refuse
from ipv2_bench.files import sha256_of
from ipv2_bench.progress import track

if TYPE_CHECKING:
    from ipv2_bench.data.dicom.ct_slice import CTSlice
    from ipv2_bench.data.dicom.decoded import DecodedCache

logger = logging.getLogger("ipv2_bench")


@dataclass(frozen=True)
class Wanted:
    """Which slices of a tree take part, and how they are read.

    Attributes
    ----------
    derived
        Whether derived images count too (ImageType DERIVED: reformats, projections, denoised slices).
    derived_alone
        Whether they count where there are no others, as in what ``simulate`` writes.
    square
        Whether oblong pixels are resampled to squares.
    kernel, acquisition
        ConvolutionKernel and AcquisitionNumber of the slices that take part, in any case; empty for all of them.
    """

    derived: bool = False
    derived_alone: bool = False
    square: bool = False
    kernel: str = ""
    acquisition: str = ""


@dataclass(frozen=True)
class Tree:
    """The content of a folder tree.

    Attributes
    ----------
    series
        Series without a problem, ordered by key; their ``patient`` is not set yet.
    findings
        Problems.
    left_out
        Files that are no slices of a scan, by reason.
    files
        Number of DICOM files.
    png, volumes
        Names of the other images, where they were asked for.
    """

    series: list[Series]
    findings: list[Finding]
    left_out: LeftOut
    files: int
    png: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def read_tree(
    root: str | os.PathLike[str],
    progress: bool = False,
    patients_by: str = "auto",
    cache: DecodedCache | None = None,
    wanted: Wanted = Wanted(),
) -> list[Series]:
    """Read every CT series below a folder.

    Files count as DICOM by their content or ending, see :func:`~ipv2_bench.data.formats.listing.files_below`; links are followed.
    What is no slice of a CT scan is left out, with one warning in the log that counts it by reason.

    Parameters
    ----------
    root
        The folder.
    progress
        Show a progress bar over the files on stderr.
    patients_by
        The rule that groups series by patient; see :func:`~ipv2_bench.data.dicom.patients.group_patients`.
    cache
        Cache of decoded slices.
    wanted
        Which slices take part.

    Returns
    -------
    list of Series
        At least one series; ordered by key, hence the same for any file names and any order on the disk.

    Raises
    ------
    ipv2_bench.errors.InputError
        All problems of the tree, in one list, with paths relative to ``root``.
    """
    tree = scan_tree(root, progress, cache, wanted)
    if tree.left_out:
        logger.warning("left out of the data set: %s", tree.left_out)
    refuse([str(finding) for finding in tree.findings], "data set")
    patient = group_patients({s.key: s.belonging for s in tree.series}, patients_by)
    return [replace(one, patient=patient[one.key]) for one in tree.series]


def scan_tree(
    root: str | os.PathLike[str],
    progress: bool = False,
    cache: DecodedCache | None = None,
    wanted: Wanted = Wanted(),
    alone: bool = True,
) -> Tree:
    """The usable series and the problems of a tree: like :func:`read_tree`, but problems are returned, not raised.

    ``alone``: other images are left out; otherwise their names are returned, too.
    """
    from ipv2_bench.data.dicom.ct_slice import read_slice

    base = Path(root)
    base_name = shown(base.resolve().name or "the given folder")
    if not base.is_dir():
        fact = "is a file" if base.exists() else "does not exist"
        refuse([f"{base_name}: {fact}; expected a folder of CT DICOM files; correct the path"], "data set")
    findings = Findings()
    left_out = LeftOut()
    parts: list[CTSlice] = []
    with quiet_pydicom():
        listing = files_below(base, findings, left_out)
        others = (*listing.png, *listing.volumes)
        for name in others if alone else ():
            left_out.add("no DICOM", name)
        names = listing.dicom
        for name in track(names, "reading CT", unit="file", enabled=progress):
            part = read_slice(base / name, name, findings, left_out, cache, wanted.derived, square=wanted.square)
            if part is not None:
                parts.append(part)
    if not parts and wanted.derived_alone and left_out["derived"] and not wanted.derived:
        return scan_tree(root, progress, cache, replace(wanted, derived=True), alone)
    parts = _chosen(parts, wanted, left_out)
    series: dict[str, Series] = {}
    groups = grouped(parts)
    parts.clear()
    while groups:  # what is stacked into a series is let go
        folder, slices = groups.pop(0)
        built, problems = build_series(folder, slices)
        if built is not None and series.setdefault(built.key, built) is not built:
            twin = shown(series[built.key].folder)
            text = f"same series as in {twin}; expected each once; remove one of the two"
            problems = [FileProblem(slices[0].name, "duplicate", text)]
        for problem in problems:
            findings.add(*problem)
    if not series and not findings.list() and (alone or not others):
        fact = "no CT slice" if listing.dicom else "no DICOM file"
        remedy = "correct the path, unpack archives"
        if left_out["derived"]:
            remedy = "set data.derived=true to use derived images too"
        why = f" (left out: {left_out})" if left_out else ""
        text = f"{fact} in this folder{why}; expected chest CT as DICOM files; {remedy}"
        findings.add(base_name, "unreadable", text)
    found = [series[key] for key in sorted(series)]
    return Tree(found, findings.list(), left_out, len(names), *(() if alone else (tuple(listing.png), tuple(listing.volumes))))


def _chosen(parts: list[CTSlice], wanted: Wanted, left_out: LeftOut) -> list[CTSlice]:
    """The slices of the kernel and the acquisition that are wanted; the others are counted.

    Raises
    ------
    InputError
        When there is none of them.
    """
    for what in ("kernel", "acquisition"):
        word = getattr(wanted, what).casefold()
        of_word = [part for part in parts if getattr(part, what).casefold() == word] if word else parts
        if parts and not of_word:
            there = ", ".join(sorted({getattr(part, what) or "none told" for part in parts}))
            raise InputError(f"no slice is of data.{what}={getattr(wanted, what)}: there are {there}")
        if len(of_word) < len(parts):
            kept = {id(part) for part in of_word}
            for part in parts:
                if id(part) not in kept:
                    left_out.add(f"of another {what}", part.name)
        parts = of_word
    return parts


def content_of(root: Path, names: bool = False) -> str:
    """SHA-256 over the content of the DICOM files below a folder, and how they are decoded; names count only with ``names``."""
    from ipv2_bench.data.dicom.pixels import DECODER_VERSION

    listing = files_below(root, Findings(), LeftOut())
    files = [sha256_of(root / name) + (name if names else "") for name in listing.dicom if (root / name).is_file()]
    return hashlib.sha256("".join([*sorted(files), f"decoder {DECODER_VERSION}"]).encode("utf-8", "surrogateescape")).hexdigest()
