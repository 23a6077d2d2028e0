"""Headers that lie: every file of a base in turn is spoilt, and `apply` ends well or in one line with nothing left."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.soak.command import Base, invoke, line, recipe, tree, words

Table = dict[str, Any]


def spoil(data: bytes, random: Random) -> bytes:
    """The file with one lie in its header or in its length."""
    length = int.from_bytes(data[:8], "little")
    text, body = data[8 : 8 + length], data[8 + length :]
    way = random.randrange(6)
    if way == 0:  # a bit of the header
        at = random.randrange(8 + length)
        return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
    if way == 1:  # the length of the header
        said = random.choice([0, 1, 7, length - 1, length + 1, len(data), 100_000_001, 2**31, 2**63, 2**64 - 1])
        return said.to_bytes(8, "little") + data[8:]
    if way == 2:  # a download that stopped, or went on
        return data[: random.randrange(len(data))] if random.random() < 0.7 else data + random.randbytes(9)
    if way == 3:  # no table
        other = random.choice([b"", b"{", b"null", b"[]", b'"x"', b"\xff" * 40, b"[" * 60_000, b'{"a":1e999}', b"{}"])
        return len(other).to_bytes(8, "little") + other + body
    table = json.loads(text)
    lie = random.choice(LIES)
    changed = lie(table, random)
    said = changed if isinstance(changed, bytes) else json.dumps(table).encode("utf-8", "surrogatepass")
    return len(said).to_bytes(8, "little") + said + body


def _row(table: Table, random: Random) -> tuple[str, Any]:
    return random.choice([(name, row) for name, row in table.items() if name != "__metadata__"])


def _offsets(table: Table, random: Random) -> None:
    _, row = _row(table, random)
    begin, end = row["data_offsets"]
    row["data_offsets"] = random.choice(
        [
            [end, begin],
            [begin, end + 2],
            [begin + 2, end],
            [-begin - 1, end],
            [begin],
            [],
            [begin, end, end],
            None,
            [0, 2**70],
            [float(begin), end],
            ["0", end],
            [True, end],
            [10**4000, 10**4001],
        ]
    )


def _shape(table: Table, random: Random) -> None:
    _, row = _row(table, random)
    row["shape"] = random.choice(
        [
            [],
            [0],
            [-1],
            [2**63],
            [10**400],
            [1] * 5000,
            None,
            "x",
            {},
            [*row["shape"], 2],
            row["shape"][::-1],
            [1.5],
            [True],
        ]
    )


def _dtype(table: Table, random: Random) -> None:
    _, row = _row(table, random)
    row["dtype"] = random.choice(["F8_E4M3", "F4", "U8", "BOOL", "F64", "I64", "", None, 3, "x" * 5000, ["F16"]])


def _name(table: Table, random: Random) -> None:
    name, row = _row(table, random)
    del table[name]
    table[random.choice(["", "\0", "../../x", "\ud800", "a\nb", "\x1b[31m", "n" * 70_000, name.upper()])] = row


def _lost(table: Table, random: Random) -> None:
    table.pop(_row(table, random)[0])


def _row_itself(table: Table, random: Random) -> None:
    name, row = _row(table, random)
    table[name] = random.choice([None, [], "x", 1, {}, row | {"more": 1}, {"dtype": "F16"}])


def _metadata(table: Table, random: Random) -> None:
    table["__metadata__"] = random.choice([None, [], "x", {"a": 1}, {"a": None}, {"a": {"b": "c"}}, {"\0": "\0"}])


def _twice(table: Table, random: Random) -> bytes:
    name, row = _row(table, random)
    return (json.dumps(table)[:-1] + f", {json.dumps(name)}: {json.dumps(row)}}}").encode()


def _spaces(table: Table, random: Random) -> bytes:
    return b" " * random.choice([0, 1, 8]) + json.dumps(table).encode() + b" " * random.choice([0, 100_000])


def _another(table: Table, random: Random) -> None:
    _, row = _row(table, random)
    table["another"] = row | {"data_offsets": random.choice([[0, 0], row["data_offsets"]]), "shape": [0]}


LIES: tuple[Callable[[Table, Random], bytes | None], ...] = (
    _offsets,
    _shape,
    _dtype,
    _name,
    _lost,
    _row_itself,
    _metadata,
    _twice,
    _spaces,
    _another,
)


def lie(at: Path, base: Base, forms: list[str], count: int, random: Random) -> Counter[str]:
    """Spoil a file of a copy of the base `count` times; the forms take turns.

    Raises AssertionError: a traceback, more than a line, something left behind, or a base that is not what was given.
    """
    at.mkdir()
    given, seen, copied = recipe(at), Counter[str](), at / "base"
    if base.at.is_dir():
        shutil.copytree(base.at, copied)
    else:
        copied.mkdir()
        shutil.copy(base.at, copied)
    held = copied if base.at.is_dir() else copied / base.at.name
    moved = Base(base.name, held, tuple(str(held) if word == str(base.at) else word for word in base.words))
    files = sorted(copied.rglob("*.safetensors"))
    for i in range(count):
        path, out = files[i % len(files)], at / "place" / "out"
        good = path.read_bytes()
        path.write_bytes(spoil(good, random))
        before = tree(held)
        code, said = invoke(words(moved, given, forms[i % len(forms)], out))
        assert tree(held) == before, "the base was touched"
        if code:
            assert len(line(code, said)) < 1000
            seen["refused"] += 1
        else:
            assert out.exists() and not [path for path in out.rglob("*") if ".partial-" in path.name]
            seen["accepted"] += 1
            shutil.rmtree(out)
        left = list(out.parent.iterdir()) if out.parent.exists() else []
        assert not left, f"left behind {left}"
        path.write_bytes(good)
    return seen
