"""Text states on disk: what is known is not asked for again, and what decides states decides the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.engine.toy import Toy
from tracelang.engine import text_cache
from tracelang.engine.protocol import TextStates

CPU = torch.device("cpu")
Asked = list[list[str]]


def alone(prompts: Sequence[str]) -> TextStates:
    return TextStates.cat([Toy().encode([prompt]) for prompt in prompts])


def encode(where: Path, prompts: Sequence[str], asked: Asked, encoder: str = "toy", limit: int = 2**30) -> TextStates:
    def make(missing: Sequence[str]) -> TextStates:
        asked.append(list(missing))
        return alone(missing)

    return text_cache.cached(encoder, prompts, make, where, CPU, limit)


def equal(a: TextStates, b: TextStates) -> bool:
    return a.inputs.keys() == b.inputs.keys() and all(a.inputs[name].equal(b.inputs[name]) for name in a.inputs)


def test_known_prompts_are_not_encoded_again_and_come_in_the_order_asked(tmp_path: Path) -> None:
    asked: Asked = []
    encode(tmp_path, ["a cat", "a dog"], asked)
    found = encode(tmp_path, ["a dog", "a ship", "a dog", "a cat"], asked)
    assert asked == [["a cat", "a dog"], ["a ship"]]
    assert equal(found, alone(["a dog", "a ship", "a dog", "a cat"]))
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors"} and len(list(tmp_path.iterdir())) == 3


def test_another_encoder_is_another_file(tmp_path: Path) -> None:
    asked: Asked = []
    for encoder in ("one", "other", "one"):
        encode(tmp_path, ["a cat"], asked, encoder)
    assert asked == [["a cat"]] * 2


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: b"", lambda data: b"{}" * 50,
])  # fmt: skip
def test_a_damaged_file_is_made_anew(damage: object, tmp_path: Path) -> None:
    asked: Asked = []
    wanted = encode(tmp_path, ["a cat"], asked)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    file.write_bytes(damage(good))  # type: ignore[operator]
    assert equal(encode(tmp_path, ["a cat"], asked), wanted)
    assert asked == [["a cat"]] * 2 and file.read_bytes() == good


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asked: Asked = []
    found = encode(tmp_path / "file", ["a cat"], asked)
    assert equal(found, alone(["a cat"])) and asked == [["a cat"]]


def test_the_states_used_longest_ago_go_first_and_none_of_this_call(tmp_path: Path) -> None:
    asked: Asked = []
    encode(tmp_path, ["a cat"], asked)
    (old,) = tmp_path.iterdir()
    os.utime(old, (1, 1))
    encode(tmp_path, ["a dog", "a ship"], asked, limit=2 * old.stat().st_size)
    assert not old.exists() and len(list(tmp_path.iterdir())) == 2
    encode(tmp_path, ["a dog", "a ship", "a cat"], asked, limit=1)
    assert len(list(tmp_path.iterdir())) == 3
