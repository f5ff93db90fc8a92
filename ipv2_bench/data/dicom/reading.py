"""DICOM files read as they come: with or without preamble, marker and transfer syntax."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.filereader import data_element_generator, read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ipv2_bench.data.findings import Unusable

BEGINNING = 4096
"""Bytes that tell whether a data set begins without a marker."""

LARGEST_FILE = 128 * 2**20
"""Most bytes that a file may have, and that a deflated file may inflate to."""


VALUE_TYPES = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
"""DICOM's value representations, which an explicit encoding writes behind each tag."""


LONG_VALUES = (b"OB", b"OW", b"SQ", b"UN", b"UT")
"""Those of them that may stand in the meta information or at the beginning, and have their length in four bytes."""

CHARACTER_SET = 0x00080005


def is_marked(head: bytes) -> bool:
    """Whether bytes begin with a preamble and DICOM's marker."""
    return head[128:132] == b"DICM"


def looks_like_dataset(head: bytes, size: int) -> bool:
    """Whether bytes are the beginning of a DICOM data set without preamble and marker, in any encoding.

    Its first element is of group 0002 or 0008, and the next one begins where the first one's length says, in the same group.
    """
    for order in ("little", "big"):
        group, element = (int.from_bytes(head[i : i + 2], order) for i in (0, 2))  # type: ignore[arg-type]
        if group not in (0x0002, 0x0008) or element > 0x00FF or len(head) < 16:
            continue
        if head[4:6] in VALUE_TYPES:
            long = head[4:6] in LONG_VALUES
            start = 12 if long else 8
            length = int.from_bytes(head[8:12] if long else head[6:8], order)  # type: ignore[arg-type]
        elif order == "little":
            start, length = 8, int.from_bytes(head[4:8], order)  # type: ignore[arg-type]
        else:
            continue
        following = start + length
        if following + 4 > min(size, len(head)):
            continue
        if int.from_bytes(head[following : following + 2], order) in (0x0002, 0x0008):  # type: ignore[arg-type]
            return True
    return False


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises
    ------
    Unusable
        When there are more than :data:`LARGEST_FILE`, or a deflated file would inflate to more.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise Unusable("unreadable", f"a file of {size / 2**20:.0f} MB; expected a slice; remove the file")
    raw = path.read_bytes()
    try:
        meta = read_file_meta_info(path)
    except Exception:  # open_dicom of these bytes reports what is wrong
        return raw
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        start = 132 + 12 + int(meta.get("FileMetaInformationGroupLength", 0))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        inflate.decompress(raw[start:], LARGEST_FILE)
        if inflate.unconsumed_tail:
            text = f"inflates to more than {LARGEST_FILE / 2**20:.0f} MB; expected one CT slice; remove the file"
            raise Unusable("unreadable", text)
    return raw


def open_dicom(raw: bytes, **options: Any) -> FileDataset:
    """The data set of a file's bytes; ``options`` are those of :func:`pydicom.dcmread`.

    A file that does not say its transfer syntax has the one that its elements are written in, implicit little endian as a rule.

    Raises
    ------
    Exception
        Whatever pydicom raises on damaged files.
    """
    force = not is_marked(raw) and looks_like_dataset(raw[:BEGINNING], len(raw))
    data = dcmread(io.BytesIO(raw), force=force, **options)
    if not data.file_meta.get("TransferSyntaxUID"):
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little in (True, None) else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = explicit if implicit is False else ImplicitVRLittleEndian
    return data


def character_set(raw: bytes, data: FileDataset) -> RawDataElement | None:
    """SpecificCharacterSet of a file as the bytes that it is, which pydicom decodes while it reads; ``None`` where it is missing.

    Parameters
    ----------
    raw, data
        The file, and what :func:`open_dicom` made of it.
    """
    at = 132 if is_marked(raw) else 0
    while raw[at : at + 2] == b"\x02\x00":  # the meta information, explicit and little endian
        long = raw[at + 4 : at + 6] in LONG_VALUES
        head, size = (12, raw[at + 8 : at + 12]) if long else (8, raw[at + 6 : at + 8])
        at += head + int.from_bytes(size, "little")
    body = raw[at:]
    if data.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, BEGINNING)
    implicit, little = data.original_encoding
    elements = data_element_generator(
        io.BytesIO(body), bool(implicit), little is not False, stop_when=lambda tag, *_: tag > CHARACTER_SET
    )
    try:
        return next((e for e in elements if e.tag == CHARACTER_SET and isinstance(e, RawDataElement)), None)
    except Exception:  # of elements before it that are damaged; then it is as pydicom understood it
        return None
