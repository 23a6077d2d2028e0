"""The header reader believes nothing; the writer is read by the reference library."""

import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from tracelang.models import header
from tracelang.plan.family import ModelError


def test_what_the_reference_library_writes_is_read(tmp_path):
    tensors = {"b": torch.rand(3, 4), "a": torch.zeros(2).half(), "empty": torch.zeros(0, 5), "scalar": torch.tensor(7)}
    save_file(tensors, tmp_path / "x.safetensors", {"note": "é"})
    found = header.read(tmp_path / "x.safetensors")
    assert found.metadata == {"note": "é"}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert {name: entry.shape for name, entry in found.tensors.items()} == shapes
    entry, data = found.tensors["b"], (tmp_path / "x.safetensors").read_bytes()
    assert data[entry.begin : entry.end] == tensors["b"].numpy().tobytes()


def test_what_is_written_the_reference_library_reads_and_bytes_repeat(tmp_path):
    tensors = {"y": torch.rand(2, 3), "x": torch.arange(4), "none": torch.zeros(0), "s": torch.ones(())}
    names = {torch.float32: "F32", torch.int64: "I64"}
    for file in ("one", "two"):
        table = {name: (names[t.dtype], tuple(t.shape)) for name, t in tensors.items()}
        header.write(tmp_path / file, table, (t.numpy().tobytes() for t in tensors.values()), {"b": "2", "a": "1"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with safe_open(tmp_path / "one", "pt") as file:
        assert file.metadata() == {"a": "1", "b": "2"}
        assert all(file.get_tensor(name).equal(tensor) for name, tensor in tensors.items())
    with pytest.raises(ValueError, match="s: 3 bytes"):
        header.write(tmp_path / "bad", {"s": ("F32", ())}, [b"abc"])


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
LIES = {
    "overlap": {"a": ROW, "b": ROW},
    "hole": {"a": ROW | {"data_offsets": [4, 12]}},
    "short": {"a": ROW | {"shape": [3], "data_offsets": [0, 12]}},
    "long": {"a": ROW | {"shape": [1], "data_offsets": [0, 4]}},
    "shape": {"a": ROW | {"shape": [3]}},
    "negative": {"a": ROW | {"shape": [-2]}},
    "huge": {"a": ROW | {"shape": [2**62, 4], "data_offsets": [0, 2**66]}},
    "float": {"a": ROW | {"shape": [2.0]}},
    "boolean": {"a": ROW | {"shape": [2, True]}},
    "dtype": {"a": ROW | {"dtype": "F4"}},
    "dtype a list": {"a": ROW | {"dtype": ["F32"]}},
    "key": {"a": ROW | {"more": 1}},
    "row": {"a": 7},
    "name no text": {"\ud800": ROW},
    "metadata": {"a": ROW, "__metadata__": {"x": 1}},
    "metadata a text": {"a": ROW, "__metadata__": "x"},
}


def write_raw(path, text: bytes, data: bytes = bytes(8), length: int | None = None):
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused_in_one_line(lie, tmp_path):
    header.read(write_raw(tmp_path / "good", json.dumps({"a": ROW}).encode()))
    with pytest.raises(ModelError) as caught:
        header.read(write_raw(tmp_path / "bad", json.dumps(LIES[lie]).encode()))
    assert "\n" not in str(caught.value) and "bad" in str(caught.value)


@pytest.mark.parametrize("text", [
    b"", b"[]", b" {}", b"{", b"\xff\xfe", b'{"a":' * 100_000, b'{"a": 1, "a": 1}', b'{"a": ' + b"9" * 5000 + b"}",
])  # fmt: skip
def test_a_header_that_is_no_table_is_refused(text, tmp_path):
    with pytest.raises(ModelError):
        header.read(write_raw(tmp_path / "bad", text))


def test_lengths_that_cannot_be_and_files_that_cannot_be_read_are_refused(tmp_path):
    for length in (100, 2**40, 2**63):
        with pytest.raises(ModelError, match="truncated"):
            header.read(write_raw(tmp_path / "bad", b"{}", b"", length))
    for content in (b"", b"1234567"):
        (tmp_path / "short").write_bytes(content)
        with pytest.raises(ModelError, match="truncated"):
            header.read(tmp_path / "short")
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ModelError, match="cannot be read"):
            header.read(path)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_no_bytes_at_all_raise_anything_else(tmp_path_factory, text, length):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    write_raw(path, text, b"", length)
    try:
        header.read(path)
    except ModelError as error:
        assert "\n" not in str(error)
