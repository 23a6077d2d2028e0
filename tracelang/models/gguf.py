"""The header of a GGUF file, for `tracec inspect`: its weights are quantised, so nothing else reads it.

Format (github.com/ggml-org/ggml, "GGUF", versions 2 and 3): `GGUF | u32 version | u64 tensors | u64 keys |
metadata | names, shapes (innermost first), types and offsets | padding | data`, little-endian. No header is believed:
of what it says, nothing is allocated before it is there.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

from tracelang.models.header import LONGEST_HEADER, Entry, Header
from tracelang.plan.family import ModelError

MAGIC = b"GGUF"
TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 28: ("F64", 1, 8),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 20: ("IQ4_NL", 32, 18), 23: ("IQ4_XS", 256, 136),
}  # fmt: skip
"""Of a tensor's type: its name, and how many numbers lie in a block of how many bytes."""
VALUES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
SHOWN = 8
"""Members of a list that are kept: vocabularies stand in the metadata."""
ALIGNMENT = "general.alignment"
DIMENSIONS = 4
MANY = 100_000
"""Tensors, and keys; no model has so many."""


def read(path: Path) -> Header:
    """Its tensors, shapes as torch has them, and its metadata as texts. Raises ModelError for a header that lies."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _Reading(file, size).header()
    except (_Lie, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ModelError(f"{path}: its GGUF header is damaged ({error}); download the file again") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None


class _Lie(Exception):
    pass


class _Reading:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left, self.size = file, min(size, LONGEST_HEADER), size

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise _Lie("it ends before it is told to")
        self.left -= count
        found = self.file.read(count)
        if len(found) != count:
            raise _Lie("the file is truncated")
        return found

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.bytes(struct.calcsize(f"<{code}")))[0]

    def text(self) -> str:
        return self.bytes(self.number("Q")).decode()

    def value(self, kind: int, inside: bool = False) -> str:
        if kind == TEXT:
            return self.text()
        if kind in VALUES:
            return str(self.number(VALUES[kind]))
        if kind != LIST or inside:
            raise _Lie(f"a value of the unknown kind {kind}")
        kind, count = self.number("I"), self.number("Q")
        first = [self.value(kind, inside=True) for _ in range(min(count, SHOWN))]
        if kind in VALUES:
            self.bytes((count - len(first)) * struct.calcsize(f"<{VALUES[kind]}"))
        else:
            for _ in range(count - len(first)):
                self.bytes(self.number("Q"))
        return ", ".join(first) + (f", … ({count:,})" if count > SHOWN else "")

    def header(self) -> Header:
        if self.bytes(4) != MAGIC or self.number("I") not in (2, 3):
            raise _Lie("a version that is not known here")
        tensors, keys = self.number("Q"), self.number("Q")
        if max(tensors, keys) > MANY:
            raise _Lie(f"it is told to hold {tensors:,} tensors and {keys:,} keys")
        metadata = {}
        for _ in range(keys):
            name = self.text()
            metadata[name] = self.value(self.number("I"))
        rows = [self.row() for _ in range(tensors)]
        align = metadata.get(ALIGNMENT, "32")
        if not align.isdecimal() or len(align) > 7 or not 0 < int(align) <= 1 << 20:
            raise _Lie(f"an alignment of {align[:20]}")
        start = -(-self.file.tell() // int(align)) * int(align)
        found = {}
        for name, kind, shape, at in rows:
            dtype, block, size = TYPES.get(kind, (f"type {kind}", 0, 0))
            bytes = -(-math.prod(shape) // block) * size if block else 0  # of an unknown type: not known
            if start + at + bytes > self.size:
                raise _Lie(f"{name[:80]!r} lies past the end of the file")
            found[name] = Entry(dtype, shape, start + at, start + at + bytes)
        if len(found) != len(rows):
            raise _Lie("a name twice")
        return Header(found, metadata)

    def row(self) -> tuple[str, int, tuple[int, ...], int]:
        name, dimensions = self.text(), self.number("I")
        if dimensions > DIMENSIONS:
            raise _Lie(f"{name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self.number("Q") for _ in range(dimensions))[::-1]
        return name, self.number("I"), shape, self.number("Q")
