"""DICOM elements as bytes: a writer and a walker of our own, so that what passes through can be compared byte for byte."""

from __future__ import annotations

import zlib
from typing import NamedTuple

LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class Element(NamedTuple):
    """Tag, value representation (empty in an implicit encoding), and the bytes behind its length."""

    tag: int
    vr: bytes
    value: bytes
    undefined: bool = False


class Encoding(NamedTuple):
    """Whether value representations are written, and the order of bytes."""

    explicit: bool = True
    little: bool = True

    @property
    def order(self) -> str:
        return "little" if self.little else "big"

    def number(self, value: int, size: int) -> bytes:
        return value.to_bytes(size, self.order)  # type: ignore[arg-type]

    def read(self, raw: bytes, at: int, size: int) -> int:
        return int.from_bytes(raw[at : at + size], self.order)  # type: ignore[arg-type]


def tag_bytes(tag: int, encoding: Encoding) -> bytes:
    return encoding.number(tag >> 16, 2) + encoding.number(tag & 0xFFFF, 2)


def written(elements: list[Element], encoding: Encoding) -> bytes:
    """The elements one behind the other, in the order of their tags."""
    out = b""
    for e in sorted(elements, key=lambda e: e.tag):
        length = UNDEFINED if e.undefined else len(e.value)
        out += tag_bytes(e.tag, encoding)
        if not encoding.explicit:
            out += encoding.number(length, 4)
        elif e.vr in LONG:
            out += e.vr + b"\0\0" + encoding.number(length, 4)
        else:
            out += e.vr + encoding.number(length, 2)
        out += e.value
    return out


def walked(raw: bytes, encoding: Encoding, at: int = 0, until: int | None = None) -> list[Element]:
    """The elements of a data set; the value of one of undefined length ends with its delimiter."""
    found, until = [], len(raw) if until is None else until
    while at < until:
        element, at = _one(raw, encoding, at)
        found.append(element)
    return found


def _one(raw: bytes, encoding: Encoding, at: int) -> tuple[Element, int]:
    tag = encoding.read(raw, at, 2) << 16 | encoding.read(raw, at + 2, 2)
    vr = raw[at + 4 : at + 6] if encoding.explicit else b""
    if not encoding.explicit:
        length, start = encoding.read(raw, at + 4, 4), at + 8
    elif vr in LONG:
        length, start = encoding.read(raw, at + 8, 4), at + 12
    else:
        length, start = encoding.read(raw, at + 6, 2), at + 8
    end = _end_of_items(raw, encoding, start) if length == UNDEFINED else start + length
    assert end <= len(raw), f"{tag:08X} ends behind the file"
    return Element(tag, vr, raw[start:end], length == UNDEFINED), end


def _end_of_items(raw: bytes, encoding: Encoding, at: int) -> int:
    """Behind the delimiter of a sequence of undefined length that begins here."""
    while True:
        tag = encoding.read(raw, at, 2) << 16 | encoding.read(raw, at + 2, 2)
        length = encoding.read(raw, at + 4, 4)
        at += 8
        if tag == SEQUENCE_END:
            return at
        assert tag == ITEM, f"{tag:08X} in a sequence"
        if length != UNDEFINED:
            at += length
            continue
        while encoding.read(raw, at, 2) << 16 | encoding.read(raw, at + 2, 2) != ITEM_END:
            _, at = _one(raw, encoding, at)
        at += 8


def of_file(raw: bytes) -> tuple[list[Element], Encoding]:
    """The elements of a file behind its meta information, and their encoding; what is deflated is inflated."""
    assert raw[128:132] == b"DICM"
    meta, at = [], 132
    while int.from_bytes(raw[at : at + 2], "little") == 2:
        element, at = _one(raw, Encoding(), at)
        meta.append(element)
    syntax = next(e.value for e in meta if e.tag == 0x00020010).rstrip(b"\0 ").decode()
    body = raw[at:]
    if syntax == "1.2.840.10008.1.2.1.99":
        body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body)
    encoding = Encoding(explicit=syntax != "1.2.840.10008.1.2", little=syntax != "1.2.840.10008.1.2.2")
    return walked(body, encoding), encoding


def file_of(elements: list[Element], syntax: str, encoding: Encoding) -> bytes:
    """A file with preamble, marker and the least meta information."""
    instance = next(e.value for e in elements if e.tag == 0x00080018)
    meta = [
        Element(0x00020002, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        Element(0x00020003, b"UI", instance + b"\0" * (len(instance) % 2)),
        Element(0x00020010, b"UI", syntax.encode() + b"\0" * (len(syntax) % 2)),
    ]
    body = written(meta, Encoding())
    content = written(elements, encoding)
    if syntax == "1.2.840.10008.1.2.1.99":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = packer.compress(content) + packer.flush()
        content += b"\0" * (len(content) % 2)
    group = written([Element(0x00020000, b"UL", len(body).to_bytes(4, "little"))], Encoding())
    return bytes(128) + b"DICM" + group + body + content
