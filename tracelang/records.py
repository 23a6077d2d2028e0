"""`dataclass` as in the standard library, at a tenth of the time to import.

The standard one writes and compiles six methods for each class, about half a millisecond; the compiler has a hundred
classes, and a cold `tracec lint` would spend a fifth of its time on methods that are never called. Here `__init__` is
compiled for a class that is much used, and the other methods are shared. What comes out is a dataclass all the same:
`fields`, `replace`, `match` and pickling work. Taken from the standard arguments: `frozen`, `slots`, `eq`.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, field, fields
from dataclasses import dataclass as standard
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field"]

FEW = 50
"""So many instances are made before `__init__` is compiled: that costs as much as making them without."""

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
        """Make a dataclass of a class."""

        def made(cls: type) -> type:
            new = standard(slots=slots, init=False, repr=False, eq=False)(cls)
            own = {"__init__": _init_of(new), "__repr__": _repr}
            if eq:
                own |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
            if frozen:
                own |= {"__setattr__": _refuse, "__delattr__": _refuse, "__setstate__": _restore}
                own["__getstate__"] = _state
            for name, method in own.items():
                if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
                    setattr(new, name, method)
            return new

        return made if cls is None else made(cls)


def _init_of(cls: type) -> Any:
    """An `__init__` that sets what is given, and has itself replaced when it is called often or with anything less."""
    names = tuple(one.name for one in fields(cls) if one.init and not one.kw_only)
    rest = frozenset(one.name for one in fields(cls)).difference(names)
    calls = iter(range(FEW))

    def __init__(self: Any, /, *values: Any, **named: Any) -> None:
        if len(values) == len(names) and named.keys() == rest and next(calls, None) is not None:
            for name, value in zip(names, values, strict=True):
                object.__setattr__(self, name, value)
            for name, value in named.items():
                object.__setattr__(self, name, value)
        else:
            cls.__init__ = _compiled(cls)  # type: ignore[misc]
            cls.__init__(self, *values, **named)  # type: ignore[misc]

    return __init__


def _compiled(cls: Any) -> Any:
    """The `__init__` of a class: one parameter a field, keyword-only ones last."""
    given = [one for one in fields(cls) if one.init]
    names: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    parameters = [_parameter(one, names) for one in given if not one.kw_only]
    keywords = [_parameter(one, names) for one in given if one.kw_only]
    lines = [f"def __init__({', '.join(['self', *parameters, *(['*', *keywords] if keywords else [])])}):"]
    for one in fields(cls):
        if one.default_factory is not MISSING:
            names[f"_make_{one.name}"] = one.default_factory
            missing = f"if {one.name} is _missing: " if one.init else ""
            lines.append(f" {missing}{one.name} = _make_{one.name}()")
        lines.append(f" _set(self, {one.name!r}, {one.name})")
    exec("\n".join(lines), names)
    names["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return names["__init__"]


def _parameter(one: Field[Any], names: dict[str, Any]) -> str:
    if one.default_factory is not MISSING:
        return f"{one.name}=_missing"
    if one.default is MISSING:
        return one.name
    names[f"_default_{one.name}"] = one.default
    return f"{one.name}=_default_{one.name}"


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, one.name) for one in fields(self) if one.compare])


def _eq(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")


def _state(self: Any) -> dict[str, Any]:
    return {one.name: getattr(self, one.name) for one in fields(self)}


def _restore(self: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        object.__setattr__(self, name, value)
