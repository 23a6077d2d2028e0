"""Text states on disk: what is known is not asked for again, and what decides states decides the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.engine.plans import erasure, plan, refine, run
from tests.engine.toy import Toy
from tracelang.models import store, text_cache
from tracelang.models.errors import CacheFull
from tracelang.models.protocol import TextStates

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


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"",
        lambda data: b"{}" * 50,
    ],
)
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


def later_command() -> None:
    """What an earlier one knew of its folders is forgotten; whatever it left was used long before."""
    for where in store.KNOWN:
        for file in where.glob("*.safetensors"):
            os.utime(file, (1, 1))
    store.KNOWN.clear()


def test_the_states_used_longest_ago_go_first_and_none_of_this_command(tmp_path: Path) -> None:
    asked: Asked = []
    encode(tmp_path, ["a cat"], asked)
    (old,) = tmp_path.iterdir()
    later_command()
    encode(tmp_path, ["a dog", "a ship"], asked, limit=2 * old.stat().st_size)
    assert not old.exists() and len(list(tmp_path.iterdir())) == 2
    with pytest.warns(CacheFull):
        found = encode(tmp_path, ["a dog", "a ship", "a cat"], asked, limit=1)
    assert len(list(tmp_path.iterdir())) == 2 and equal(found, alone(["a dog", "a ship", "a cat"]))


def test_a_recipe_larger_than_the_cache_finds_again_what_fits_and_is_told_once(tmp_path: Path) -> None:
    """Used longest ago first, it would push out what it is about to ask for, and find nothing the next time."""
    prompts = [f"a w{i}" for i in range(12)]
    encode(tmp_path / "one", prompts[:1], [])
    limit = 8 * next((tmp_path / "one").iterdir()).stat().st_size
    where = tmp_path / "states"
    for missing in (12, 4, 4):
        later_command()
        asked: Asked = []
        with pytest.warns(CacheFull, match="holds at most") as told:
            for prompt in prompts:
                encode(where, [prompt], asked, limit=limit)
        assert len(asked) == missing and len(told) == 1
        assert sum(file.stat().st_size for file in where.iterdir()) <= limit
    later_command()
    asked = []
    for prompt in ("a ship", *prompts):  # what was used longest ago makes room for what is new
        encode(where, [prompt], asked, limit=2 * limit)
    assert ["a ship"] in asked


def test_a_recipe_of_many_statements_looks_through_the_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement asks for its own prompts; a folder of thousands takes long to look through."""
    where, asked, looked = tmp_path / "states", Asked(), list[Path]()
    encode(where, ["a cat"], [])
    later_command()
    for name in ("scandir", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path=".", real=real: (looked.append(Path(path)), real(path))[1])
    model = Toy()
    model.encode = lambda prompts: encode(where, prompts, asked)  # type: ignore[method-assign]
    many = plan(tuple(erasure(f"x{i}") for i in range(10)), refine(), preserve={f"w{i}": 1.0 for i in range(30)})
    run(many, model, cache=None)
    assert len(asked) == 1 + 10 + 30 and [path for path in looked if path == where] == [where]
