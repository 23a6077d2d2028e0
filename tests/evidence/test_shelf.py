"""What is kept of models that no edit touches: found by all that decides it, and never otherwise."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Bench
from tracelang.evidence.shelf import Held, Shelf, digest
from tracelang.models.protocol import TextStates


class Maker:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Held:
        self.times += 1
        return {"images": torch.arange(6.0).reshape(2, 3)}, {"prompts": ["a dog"], "price": None}


def test_it_is_made_once_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    make, shelf = Maker(), Shelf(tmp_path)
    first, there = shelf.once(["a", 1], make)
    again, found = Shelf(tmp_path).once(["a", 1], make)
    assert (there, found, make.times) == (False, True, 1)
    assert torch.equal(first[0]["images"], again[0]["images"]) and first[1] == again[1]


def test_another_fact_is_another_thing(tmp_path: Path) -> None:
    make, shelf = Maker(), Shelf(tmp_path)
    for facts in (["a", 1], ["a", 2], ["b", 1], ["a", "1"], ["a", 1, None]):
        assert shelf.once(facts, make)[1] is False
    assert make.times == 5


def test_what_is_damaged_or_of_something_else_is_made_anew(tmp_path: Path) -> None:
    make, shelf = Maker(), Shelf(tmp_path)
    shelf.once(["a"], make)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert shelf.once(["a"], make)[1] is False, "a bit was turned"
    assert shelf.once(["a"], make)[1] is True
    shelf.once(["b"], make)
    (other,) = set(tmp_path.glob("*.safetensors")) - {file}
    shutil.copy(file, other)
    assert shelf.once(["b"], make)[1] is False, "a file under another's name"
    tensors = load_file(file)
    save_file({**tensors, "images": tensors["images"] + 1}, file)
    assert shelf.once(["a"], make)[1] is False, "no digest"


def test_who_comes_while_it_is_made_waits_and_finds_it(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()
    make = Maker()

    def slow() -> Held:
        begun.set()
        go.wait(30)
        return make()

    first = threading.Thread(target=lambda: Shelf(tmp_path).once(["a"], slow))
    first.start()
    begun.wait(30)
    assert Shelf(tmp_path).busy(["a"]) and not Shelf(tmp_path).busy(["b"])
    found: list[bool] = []
    second = threading.Thread(target=lambda: found.append(Shelf(tmp_path).once(["a"], make)[1]))
    second.start()
    go.set()
    first.join(30)
    second.join(30)
    assert found == [True] and make.times == 1 and not Shelf(tmp_path).busy(["a"])


def test_a_folder_that_cannot_be_written_to_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    make = Maker()
    assert Shelf(tmp_path / "file" / "shelf").once(["a"], make)[1] is False and make.times == 1


def test_states_are_a_fact() -> None:
    one = TextStates({"tokens": torch.zeros(1, 2, 3)})
    other = TextStates({"tokens": torch.zeros(1, 3, 2)})
    assert len({digest(None), digest(one), digest(other), digest(TextStates({"tokens": torch.ones(1, 2, 3)}))}) == 4


def test_how_a_recipe_edits_is_no_fact_of_what_it_leaves_alone(tmp_path: Path) -> None:
    def facts(text: str) -> list[object]:
        artifact = Artifact(tmp_path, tracelang.compile(text), {}, "", {})
        return Bench(artifact, None, None, None, Budget(), 20).plainly  # type: ignore[arg-type]

    same = facts(RECIPE)
    for method in ("method trace", "method uce { refine.ridge = 1 }", 'method uce\npreserve prior "house"'):
        assert facts(RECIPE.replace("method uce {}", method)) == same
    assert facts(RECIPE.replace("toward cat", "")) != same, "a target is"
