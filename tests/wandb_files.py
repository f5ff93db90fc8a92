"""Offline W&B runs read back: the records of a transaction log, parsed by the SDK's own messages."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7


def chunks(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each chunk: the log of LevelDB behind a header of seven bytes, with CRC-32 for its checksum."""
    assert content[:4] == b":W&B"
    at = HEADER
    while at + HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left  # too little for a header: padding
            continue
        checksum, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        body = content[at + HEADER : at + HEADER + length]
        assert len(body) == length, "cut off"
        assert zlib.crc32(body, zlib.crc32(bytes([kind]))) & 0xFFFFFFFF == checksum, "wrong checksum"
        yield kind, body
        at += HEADER + length


def records(folder: Path) -> list[Any]:
    """Everything that an offline run holds, in order."""
    (file,) = folder.glob("*.wandb")
    parsed, parts = [], []
    for kind, body in chunks(file.read_bytes()):  # 1 whole, 2 first, 3 middle, 4 last
        parts = [body] if kind in (1, 2) else [*parts, body]
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            parsed.append(record)
    return parsed


def of_type(folder: Path, name: str) -> list[Any]:
    """The records of one type, such as ``run``, ``summary`` or ``artifact``."""
    return [getattr(r, name) for r in records(folder) if r.WhichOneof("record_type") == name]


def history(folder: Path) -> list[dict[str, Any]]:
    """Rows of the history as plain values."""
    return [
        {".".join([*i.nested_key] or [i.key]): json.loads(i.value_json) for i in row.item}
        for row in of_type(folder, "history")
    ]
