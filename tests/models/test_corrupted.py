"""Corrupted headers of sixty-odd kinds: each is refused in one short line that names the file, or is valid and read."""

import json
import os
import struct
import time

import pytest

from tracelang.models import header, weights
from tracelang.plan.family import ModelError

ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
TWO = {"a": ROW, "b": ROW | {"data_offsets": [8, 16]}}


def table(value: object, data: int = 8, spaces: int = 0) -> bytes:
    text = (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass") + b" " * spaces
    return struct.pack("<Q", len(text)) + text + bytes(data)


def offsets(*pair: object) -> bytes:
    return table({"a": ROW | {"data_offsets": list(pair)}})


def shape(*sides: object) -> bytes:
    return table({"a": ROW | {"shape": list(sides)}})


def dtype(name: object) -> bytes:
    return table({"a": ROW | {"dtype": name}})


GOOD = table({"a": ROW})
REFUSED: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": GOOD[:7],
    "length alone": GOOD[:8],
    "length of nothing": bytes(8),
    "length beyond the file": struct.pack("<Q", 10**6) + GOOD[8:],
    "length of 101 MB": struct.pack("<Q", 101 * 10**6) + GOOD[8:],
    "length of 2**63": struct.pack("<Q", 1 << 63) + GOOD[8:],
    "length of 2**64 - 1": struct.pack("<Q", (1 << 64) - 1) + GOOD[8:],
    "length big-endian": GOOD[:8][::-1] + GOOD[8:],
    "length one too short": struct.pack("<Q", len(GOOD) - 17) + GOOD[8:],
    "length one too long": struct.pack("<Q", len(GOOD) - 15) + GOOD[8:],
    "header cut": GOOD[:30],
    "data cut": GOOD[:-1],
    "data all gone": GOOD[:-8],
    "a byte too many": GOOD + b"\0",
    "a page too many": GOOD + bytes(4096),
    "zeros": bytes(len(GOOD)),
    "a list": table("[]"),
    "a number": table("7"),
    "a text": table('"a"'),
    "null": table("null"),
    "a space first": table(" " + json.dumps({"a": ROW})),
    "a byte order mark": table("\ufeff" + json.dumps({"a": ROW})),
    "no JSON": table("{a: 1}"),
    "half of JSON": table(json.dumps({"a": ROW})[:-3]),
    "two tables": table(json.dumps({"a": ROW}) * 2),
    "not UTF-8": GOOD.replace(b'"a"', b'"\xff"'),
    "half of a pair": table({"\ud800": ROW}),
    "too deep": table('{"a":' * 50_000),
    "a name twice": table(f'{{"a": {json.dumps(ROW)}, "a": {json.dumps(ROW)}}}'),
    "a key twice inside": table('{"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'),
    "a row that is a list": table({"a": [0, 8]}),
    "a row that is null": table({"a": None}),
    "a row without a dtype": table({"a": {"shape": [2], "data_offsets": [0, 8]}}),
    "a row without a shape": table({"a": {"dtype": "F32", "data_offsets": [0, 8]}}),
    "a row without offsets": table({"a": {"dtype": "F32", "shape": [2]}}),
    "a row with more": table({"a": ROW | {"stride": [1]}}),
    "metadata a list": table({"a": ROW, "__metadata__": []}),
    "metadata with a number": table({"a": ROW, "__metadata__": {"x": 1}}),
    "metadata null": table({"a": ROW, "__metadata__": None}),
    "one offset": offsets(0),
    "three offsets": offsets(0, 8, 8),
    "offsets turned": offsets(8, 0),
    "offsets negative": offsets(-8, 0),
    "offsets as texts": offsets("0", "8"),
    "offsets as fractions": offsets(0.0, 8.0),
    "offsets as truths": offsets(False, 8),
    "offsets beyond": offsets(0, 16),
    "offsets of 2**64": offsets(0, 1 << 64),
    "an offset of 4,000 digits": offsets(0, 10**4000),
    "an offset infinite": table('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e999]}}'),
    "an offset that is none": table('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, NaN]}}'),
    "a hole before": offsets(4, 12),
    "a hole between": table(TWO | {"b": ROW | {"data_offsets": [12, 20]}}, 20),
    "an overlap": table(TWO | {"b": ROW | {"data_offsets": [4, 12]}}, 12),
    "one place for two": table(TWO | {"b": ROW}),
    "a side too many": shape(2, 2),
    "a side negative": shape(-2),
    "two sides negative": shape(-1, -2),
    "a side a fraction": shape(2.0),
    "a side a truth": shape(2, True),
    "a side of 2**62": shape(1 << 62, 4),
    "sides that overflow to 2": shape((1 << 32) + 1, (1 << 32) + 1),
    "ten thousand sides": shape(*[1] * 10_000, 2),
    "a shape that is a number": table({"a": ROW | {"shape": 2}}),
    "an unknown dtype": dtype("F33"),
    "a dtype in small letters": dtype("f32"),
    "a dtype that is a list": dtype(["F32"]),
    "a dtype of another size": dtype("F64"),
    "a dtype of a megabyte": dtype("F" * 1_000_000),
    "a name of a megabyte in a hole": table({"a" * 1_000_000: ROW | {"data_offsets": [4, 12]}}),
    "a name with a line's end": table({"a\nb": ROW | {"data_offsets": [4, 12]}}),
}  # fmt: skip
VALID: dict[str, bytes] = {
    "spaces behind": table({"a": ROW}, spaces=5000),
    "no tensor": table({}, 0),
    "a scalar": table({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, 4),
    "an empty tensor": table({"a": {"dtype": "F32", "shape": [0, 5], "data_offsets": [0, 0]}}, 0),
    "a name of NUL": table({"\0": ROW}),
    "another order": table({"b": ROW | {"data_offsets": [8, 16]}, "a": ROW}, 16),
}
OTHERS = {
    "GGUF": (b"GGUF\x03\0\0\0" + bytes(40), "GGUF.*quantise again"),
    "a zip of torch": (b"PK\x03\x04" + bytes(60), "pickle under another name"),
    "a pickle": (b"\x80\x02}q\0." + bytes(60), "pickle under another name"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "a page": (b"<!DOCTYPE html><html><body>Access denied</body></html>", "web page"),
    "F8_E8M0": (dtype("F8_E8M0"), "quantised"),
    "F4": (dtype("F4"), "quantised.*bf16 or fp16"),
    "F6_E2M3": (dtype("F6_E2M3"), "quantised"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_corrupted_file_is_refused_in_one_short_line(kind, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(REFUSED[kind])
    with pytest.raises(ModelError) as caught:
        header.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 320
    assert path.read_bytes() == REFUSED[kind]


@pytest.mark.parametrize("kind", VALID)
def test_an_odd_file_that_is_valid_is_read(kind, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(VALID[kind])
    header.read(tmp_path / "x.safetensors")


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_format_is_called_what_it_is(kind, tmp_path):
    data, word = OTHERS[kind]
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match=word):
        header.read(tmp_path / "x.safetensors")


def test_many_tensors_are_looked_through_once_however_often_they_are_asked_for(tmp_path):
    rows = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_000)}
    path = tmp_path / "model.safetensors"
    path.write_bytes(table(rows, 0))
    long_ago = time.time() - 60
    os.utime(path, (long_ago, long_ago))
    first = weights.find(tmp_path)
    assert weights.find(tmp_path).tensors is first.tensors and len(first.tensors) == 20_000
    path.write_bytes(table({"a": ROW}))
    assert list(weights.find(tmp_path).tensors) == ["a"]
