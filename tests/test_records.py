"""The light dataclass behaves as the standard one does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from tracelang import records


def classes(module: Any) -> tuple[Any, Any, Any]:
    decorator = module.dataclass

    @decorator(frozen=True, slots=True)
    class Base:
        span: int = module.field(compare=False, repr=False, kw_only=True)

    @decorator(frozen=True, slots=True)
    class Leaf(Base):
        """A leaf."""

        name: str
        words: tuple[str, ...] = ()
        notes: list[int] = module.field(default_factory=list, compare=False)

        @property
        def loud(self) -> str:
            return self.name.upper()

    @decorator(slots=True)
    class Open:
        items: list[int] = module.field(default_factory=list)

    return Base, Leaf, Open


BOTH = pytest.mark.parametrize("module", [dataclasses, records], ids=["standard", "light"])


@BOTH
def test_construction_comparison_and_display(module: Any) -> None:
    _, Leaf, Open = classes(module)
    one = Leaf("a", ("b",), span=1)
    assert (one.name, one.words, one.notes, one.span, one.loud) == ("a", ("b",), [], 1, "A")
    assert one == Leaf("a", words=("b",), span=2) != Leaf("b", span=1)
    assert hash(one) == hash(Leaf("a", ("b",), span=2)) and one != "a"
    assert Leaf.__qualname__ == "classes.<locals>.Leaf" and Leaf.__doc__ == "A leaf."
    assert repr(one).endswith("Leaf(name='a', words=('b',), notes=[])")
    assert Leaf("a", span=1).notes is not Leaf("a", span=1).notes
    assert Open() == Open([]) and Open.__hash__ is None
    wrong: Any
    for wrong in (
        lambda: Leaf(span=1),
        lambda: Leaf("a"),
        lambda: Leaf("a", span=1, other=2),
        lambda: Leaf("a", span=1, name="b"),
        lambda: Leaf("a", (), [], "more", span=1),
    ):
        with pytest.raises(TypeError):
            wrong()


@BOTH
def test_frozen_and_slots(module: Any) -> None:
    _, Leaf, Open = classes(module)
    one = Leaf("a", span=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.name
    assert not hasattr(one, "__dict__") and not hasattr(Open(), "__dict__")
    some = Open()
    some.items = [1]
    assert some.items == [1]


@BOTH
def test_it_is_a_dataclass(module: Any) -> None:
    Base, Leaf, _ = classes(module)
    one = Leaf("a", span=1)
    assert [field.name for field in dataclasses.fields(one)] == ["span", "name", "words", "notes"]
    assert dataclasses.replace(one, name="b") == module.replace(one, name="b") == Leaf("b", span=1)
    assert dataclasses.asdict(one) == {"span": 1, "name": "a", "words": (), "notes": []} and isinstance(one, Base)
    assert copy.deepcopy(one) == one and copy.deepcopy(one).span == 1
    match one:
        case Leaf("a", words=words):
            assert words == ()
        case _:
            raise AssertionError


def test_the_first_instances_and_the_many_after_them_are_alike() -> None:
    _, Leaf, Open = classes(records)
    leaves = [Leaf("a", ("b",), span=n) for n in range(records.FEW + 2)]
    assert all(leaf == leaves[0] and leaf.notes == [] for leaf in leaves)
    assert [leaf.span for leaf in leaves] == [*range(records.FEW + 2)]
    assert len({id(leaf.notes) for leaf in leaves}) == len(leaves)
    assert all(Open([n]).items == [n] for n in range(records.FEW + 2)) and Open().items == []


def test_a_field_that_comes_out_of_the_comparison_still_prints() -> None:
    Base, Leaf, _ = classes(records)
    assert Leaf("a", notes=[1], span=1) == Leaf("a", notes=[2], span=1)
    assert repr(Leaf("a", notes=[1], span=1)).endswith("notes=[1])") and repr(Base(span=1)).endswith("Base()")


def test_pickling() -> None:
    from tracelang.semantics.values import Window

    window = Window("progress", 0.2, 1.0)
    assert pickle.loads(pickle.dumps(window)) == window
