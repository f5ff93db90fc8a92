"""Every file below a folder, by what it holds: none is left out without a reason."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ipv2_bench.data.dicom.reading import is_marked, looks_like_dataset
from ipv2_bench.data.findings import Findings, LeftOut

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""Files with these endings are DICOM, and damaged where they cannot be read; others are where their content says so."""

VOLUME_ENDINGS = (".nii", ".nii.gz", ".npy", ".npz")

ARCHIVE_ENDINGS = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")

COMPANIONS = (".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db")
"""Files that file managers leave behind, in small letters."""

OWN = ".ipv2-bench.json"
"""What this program leaves in the folders that it writes."""

HEAD = 352
"""Bytes of a file that tell what it holds."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
NUMPY_SIGNATURE = b"\x93NUMPY"

@dataclass
class Listing:
    """Names of the files below a folder, relative to it, sorted by folder and name.

    Attributes
    ----------
    dicom, png, volumes
        DICOM files, PNG files, and volumes of NIfTI or NumPy.
    """

    dicom: list[str] = field(default_factory=list)
    png: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)


def files_below(base: Path, findings: Findings, left_out: LeftOut, always: Collection[str] = ()) -> Listing:
    """All files below a folder, through links too, each folder once.

    Parameters
    ----------
    base
        The folder.
    findings
        Receives files and folders that cannot be opened.
    left_out
        Receives the others that are no images, by reason.
    always
        Names of folders that are entered through a link even where they are read elsewhere too.
    """
    listing = Listing()
    for path in _every_file(base, findings, left_out, always):
        name = path.relative_to(base).as_posix()
        try:
            kind, reason = _kind(path)
        except OSError:
            findings.add(name, "unreadable", "cannot be opened; expected a readable file; check link and permissions")
            continue
        if kind == "dicom":
            listing.dicom.append(name)
        elif kind == "png":
            listing.png.append(name)
        elif kind == "volume":
            listing.volumes.append(name)
        else:
            left_out.add(reason, name)
    return listing


def _every_file(base: Path, findings: Findings, left_out: LeftOut, always: Collection[str]) -> Iterator[Path]:
    """Paths of what is in a folder and below that is no folder, sorted by folder and name; no folder is entered twice."""

    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(base).as_posix()
        findings.add(name, "unreadable", "cannot be opened; expected a readable folder; check its permissions")

    real_base = base.resolve()
    entered = {real_base}
    for folder, subfolders, files in os.walk(base, onerror=unreadable, followlinks=True):
        once = []
        for name in sorted(subfolders):
            path = Path(folder, name)
            real = path.resolve()
            if path.is_symlink() and name in always and real not in {parent.resolve() for parent in path.parents}:
                once.append(name)
                continue
            # What lies below the folder itself is read there, and not through a link.
            if real in entered or (path.is_symlink() and real.is_relative_to(real_base)):
                left_out.add("a link to a folder that is read elsewhere", path.relative_to(base).as_posix())
                continue
            entered.add(real)
            once.append(name)
        subfolders[:] = once
        yield from (Path(folder, name) for name in sorted(files))


def _kind(path: Path) -> tuple[str, str]:
    """``dicom``, ``png``, ``volume`` or an empty text, and then the reason why the file is none of them."""
    name = path.name.lower()
    if not path.is_file():  # opening a pipe would block
        if name.endswith((*DICOM_ENDINGS, ".png")) and not path.is_dir():
            raise FileNotFoundError
        return "", "no regular file"
    if name == OWN:
        return "", "a note of ipv2-bench"
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if is_marked(head) and not name.endswith(".png"):
        return "dicom", ""
    if name in COMPANIONS or name.startswith("._") or "__macosx" in (part.lower() for part in path.parts):
        return "", "a companion file of macOS or Windows"
    if name.endswith(DICOM_ENDINGS):
        return "dicom", ""
    if name.endswith(".png") or head.startswith(PNG_SIGNATURE):
        return "png", ""
    if name.endswith(VOLUME_ENDINGS) or head.startswith(NUMPY_SIGNATURE) or head[344:348] in (b"n+1\0", b"ni1\0"):
        return "volume", ""
    if name.endswith(ARCHIVE_ENDINGS):
        return "", "an archive, which has to be unpacked"
    if looks_like_dataset(head, size):
        return "dicom", ""
    return "", "empty" if not size else "no image"
