"""The light dataclass behaves as the standard one does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from tracelang import records


def classes(decorator: Any) -> tuple[Any, Any, Any]:
    @decorator(frozen=True, slots=True)
    class Base:
        span: int = records.field(compare=False, repr=False, kw_only=True)

    @decorator(frozen=True, slots=True)
    class Leaf(Base):
        """A leaf."""

        name: str
        words: tuple[str, ...] = ()
        notes: list[int] = records.field(default_factory=list, compare=False)

        @property
        def loud(self) -> str:
            return self.name.upper()

    @decorator(slots=True)
    class Open:
        items: list[int] = records.field(default_factory=list)

    return Base, Leaf, Open


BOTH = pytest.mark.parametrize("decorator", [dataclasses.dataclass, records.dataclass], ids=["standard", "light"])


@BOTH
def test_construction_comparison_and_display(decorator: Any) -> None:
    _, Leaf, Open = classes(decorator)
    one = Leaf("a", ("b",), span=1)
    assert (one.name, one.words, one.notes, one.span, one.loud) == ("a", ("b",), [], 1, "A")
    assert one == Leaf("a", words=("b",), span=2) != Leaf("b", span=1)
    assert hash(one) == hash(Leaf("a", ("b",), span=2)) and one != "a"
    assert repr(one).endswith("Leaf(name='a', words=('b',), notes=[])")
    assert Leaf("a", span=1).notes is not Leaf("a", span=1).notes
    assert Open() == Open([]) and Open.__hash__ is None
    for wrong in (lambda: Leaf(span=1), lambda: Leaf("a"), lambda: Leaf("a", span=1, other=2)):
        with pytest.raises(TypeError):
            wrong()


@BOTH
def test_frozen_and_slots(decorator: Any) -> None:
    _, Leaf, Open = classes(decorator)
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
def test_it_is_a_dataclass(decorator: Any) -> None:
    Base, Leaf, _ = classes(decorator)
    one = Leaf("a", span=1)
    assert [field.name for field in dataclasses.fields(one)] == ["span", "name", "words", "notes"]
    assert dataclasses.replace(one, name="b") == Leaf("b", span=1) and isinstance(one, Base)
    assert copy.deepcopy(one) == one and copy.deepcopy(one).span == 1
    match one:
        case Leaf("a", words=words):
            assert words == ()
        case _:
            raise AssertionError


def test_pickling() -> None:
    from tracelang.semantics.program import Window

    window = Window("progress", 0.2, 1.0)
    assert pickle.loads(pickle.dumps(window)) == window
