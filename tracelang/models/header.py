"""The safetensors format without torch: a reader that believes no header, and a writer whose bytes are repeatable.

Format: `u64 little-endian N | JSON header of N bytes | data`; offsets count from the start of the data, without holes
or overlap, and the file ends with the last tensor (github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tracelang.plan.family import ModelError

LONGEST_HEADER = 100_000_000
FRESH = 10**9
"""Nanoseconds within which a file system's clock may not tell two writes apart."""
SIZES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes per element. Sub-byte and complex types are left out: no model that is not quantised uses them."""
CODES = re.compile(r"F8_\w+|F4|F6_\w+|[IU][124]")
"""Dtypes, also of newer versions of the format, that hold codes of numbers rather than numbers."""
WAY_OUT = "edit the model's bf16 or fp16 weights, then quantise again"
OTHER = (
    (b"GGUF", f"a GGUF file, whose weights are quantised; {WAY_OUT}"),
    (b"PK\x03\x04", "a pickle under another name, which can run code and is never loaded; save the pipeline once with "
     "save_pretrained(…, safe_serialization=True)"),
    (b"\x80\x02", "a pickle under another name, which can run code and is never loaded; save the pipeline once with "
     "save_pretrained(…, safe_serialization=True)"),
    (b"version https://git-lfs", "a pointer of git-lfs in the place of the file; run `git lfs pull`, or download it"),
    (b"<!DOCTYPE", "a web page in the place of the file; download the file itself; the hub may ask for a login"),
    (b"<html", "a web page in the place of the file; download the file itself; the hub may ask for a login"),
)  # fmt: skip
"""How files begin that are none of this format, whatever their name says, and what to do."""
LARGEST = 1 << 63
"""No size or offset of a file is as large."""
LONGEST_NAME = 80
"""Characters of a name that a message repeats."""
FLOATS = ("F64", "F32", "F16", "BF16")
"""The dtypes in which a matrix can be edited."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor: `begin` and `end` are byte offsets in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file holds: tensors by name, in the order of their bytes, and the free-form metadata."""

    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]


def read(path: Path) -> Header:
    """Read and validate the header; no tensor is read. Remembered within the process while the file's size and time of
    change stay, once that time is past. Raises ModelError naming the file, the reason and a remedy.
    """
    try:
        status = path.stat()
        if time.time_ns() - status.st_mtime_ns < FRESH:
            return _read(path)
        return _remembered(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None


def listed(path: Path) -> Header:
    """`read` for what is only to be told: dtypes that hold codes of numbers are told too. Raises ModelError."""
    try:
        return _read(path, codes=True)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None


@lru_cache(maxsize=1024)
def _remembered(path: Path, size: int, changed: int) -> Header:
    return _read(path)


def _read(path: Path, codes: bool = False) -> Header:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if size < 8 or length > LONGEST_HEADER or 8 + length > size:
                if other := foreign(start + file.read(24)):
                    raise _Foreign(f"is {other}")
                raise _Lie(f"{size} bytes cannot hold its header; it is truncated or no safetensors file")
            text = file.read(length)
            if not text.startswith(b"{"):
                if other := foreign(start + text[:24]):
                    raise _Foreign(f"is {other}")
                raise _Lie("it has no safetensors header")
        return _parse(text, size - 8 - length, 8 + length, codes)
    except _Foreign as error:
        raise ModelError(f"{path}: {error}") from None
    except _Lie as lie:
        raise ModelError(f"{path}: {lie}; download or save the file again") from None


def write(
    path: Path,
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
    data: Iterable[bytes | memoryview],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file: `tensors` maps a name to dtype and shape, `data` yields their bytes in that order.

    The same arguments give the same bytes. Not atomic: write into a folder that is published afterwards.
    Raises ValueError where the data does not have the size that dtype and shape ask for.
    """
    table: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    position, ends = 0, []
    for name, (dtype, shape) in tensors.items():
        begin, position = position, position + SIZES[dtype] * math.prod(shape)
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, position]}
        ends.append(position - begin)
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, expected, chunk in zip(tensors, ends, data, strict=True):
            if file.write(chunk) != expected:
                raise ValueError(f"{name}: {len(chunk)} bytes of data for {expected}")


def foreign(start: bytes) -> str | None:
    """What a file is that begins so, and what to do, where it is of one of the other formats that models come in."""
    return next((told for first, told in OTHER if start.startswith(first)), None)


class _Lie(Exception):
    pass


class _Foreign(Exception):
    """No lie: a format that is not read."""


def _parse(text: bytes, data_size: int, data_start: int, codes: bool) -> Header:
    try:
        table = json.loads(text.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise _Lie("its header is not valid JSON") from None
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Lie("its metadata is not a table of texts")
    entries = [(name, _entry(name, row, codes)) for name, row in table.items()]
    entries.sort(key=lambda item: (item[1].begin, item[1].end))  # an empty tensor begins where its neighbour does
    position = 0
    for name, entry in entries:
        if entry.begin != position:
            raise _Lie(f"the bytes of {_said(name)} overlap another tensor or leave a hole")
        position = entry.end
    if position != data_size:
        raise _Lie(f"its header speaks of {position} bytes of data and it holds {data_size}")
    shifted = {n: Entry(e.dtype, e.shape, e.begin + data_start, e.end + data_start) for n, e in entries}
    return Header(shifted, metadata)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name twice")
    "".join(table).encode()  # half of a surrogate pair is no text: UnicodeEncodeError, a ValueError
    return table


def _entry(name: str, row: object, codes: bool) -> Entry:
    if not isinstance(row, dict) or row.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Lie(f"its entry for {_said(name)} is malformed")
    dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    coded = isinstance(dtype, str) and dtype not in SIZES and CODES.fullmatch(dtype) is not None
    if coded and not codes:
        raise _Foreign(f"{_said(name)} is {_said(dtype)}, quantised; {WAY_OUT}")
    if not isinstance(dtype, str) or not (coded or dtype in SIZES):
        raise _Foreign(
            f"the dtype {_said(dtype)} of {_said(name)} is unknown here; use the model's bf16 or fp16 weights"
        )
    if not (_naturals(shape) and _naturals(offsets) and len(offsets) == 2):
        raise _Lie(f"its entry for {_said(name)} is malformed")
    begin, end = offsets
    bits = 8 * SIZES[dtype] if not coded else int(dtype.partition("_")[0][1:])
    size, rest = divmod(bits * math.prod(shape), 8) if len(shape) < LONGEST_NAME else (-1, 0)
    if end - begin != size or rest:
        raise _Lie(f"{_said(name)} has {end - begin} bytes, its shape {_said(shape)} in {dtype} needs another number")
    return Entry(dtype, tuple(shape), begin, end)


def _naturals(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < LARGEST for value in values)


def _said(value: object) -> str:
    """As a message repeats it: a file may hold a name of megabytes."""
    text = repr(value)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"
